"""Weights and full training states as safetensors files; nothing is pickled."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from nplm_cli.artifacts import TensorFile, write_tensors
from nplm_cli.errors import ArtifactError
from nplm_cli.models import build
from nplm_cli.models.base import LanguageModel
from nplm_cli.query.run import Run
from nplm_cli.training.averaging import WeightAverage
from nplm_cli.training.progress import Progress
from nplm_cli.training.weights import FlatWeights

# Rows of a table that are copied at once.
ROWS_AT_ONCE = 8192


def save_weights(path: Path, model: LanguageModel) -> None:
    """Write the weights alone (fp32, the device not stored, tied weights once)."""
    tensors = {
        name: tensor.detach().float().cpu().numpy() for name, tensor in model.state_dict().items()
    }
    write_tensors(path, tensors)


def load_weights(path: Path, model: LanguageModel) -> None:
    """Load weights; raises ArtifactError where names or shapes are not the model's."""
    file = TensorFile(path)
    own = model.state_dict()
    if set(file.keys()) != set(own):
        missing = sorted(set(own) - set(file.keys())) or sorted(set(file.keys()) - set(own))
        raise ArtifactError(f"{path}: weights of another model: {missing[0]!r} does not match")
    for name, tensor in own.items():
        if file.shape(name) != tuple(tensor.shape):
            raise ArtifactError(
                f"{path}: {name} has shape {file.shape(name)}, config.json says "
                f"{tuple(tensor.shape)}"
            )
        _fill(tensor, file[name])
        if not torch.isfinite(tensor).all():
            raise ArtifactError(f"{path}: {name} holds nan or inf: train it again")


def load_network(run: Run) -> LanguageModel:
    """A run's network with its weights.

    ``run.weights`` is opened and its shapes are checked before memory is taken.
    """
    path = run.weights.path
    model = build(run.config.model, len(run.vocabulary))
    load_weights(path, model)
    return model


def check_shapes(path: Path, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ArtifactError unless a checkpoint holds weights of these shapes, and no others.

    Only its header is read: a model that settings of terabytes describe is never made.
    """
    file = TensorFile(path, verify=False)
    found = {k.removeprefix("model."): file.shape(k) for k in file if k.startswith("model.")}
    for name in sorted(set(expected) | set(found)):
        if found.get(name) != expected.get(name):
            raise ArtifactError(
                f"{path}: {name} has shape {found.get(name)}, config.json and vocabulary.tsv ask "
                f"for {expected.get(name)}: not the checkpoint of this run"
            )


def _fill(tensor: torch.Tensor, array: np.ndarray) -> None:
    """Copy a memory-mapped array into a tensor, some rows at once: never a second whole copy."""
    for begin in range(0, len(array), ROWS_AT_ONCE):
        rows = slice(begin, begin + ROWS_AT_ONCE)
        tensor[rows].copy_(torch.from_numpy(np.array(array[rows])))


def save_checkpoint(
    path: Path,
    weights: FlatWeights,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage,
    generator: torch.Generator,
    state: tuple[torch.Tensor, ...] | None,
    progress: Progress,
) -> None:
    """Write everything that the next step depends on, atomically, as one file."""
    with weights.exact():
        tensors = {f"model.{n}": _array(t) for n, t in weights.model.state_dict().items()}
    tensors |= {
        f"optimizer.{name}.{key}": _array(tensor)
        for key, by_name in _optimizer_state(weights, optimizer).items()
        for name, tensor in by_name.items()
    }
    if weights.rows is not None:
        tensors |= {f"rows.{key}": _array(part) for key, part in weights.rows.state().items()}
    tensors |= {f"average.{name}": _array(mean) for name, mean in average.means().items()}
    tensors["generator"] = generator.get_state().numpy()
    for i, tensor in enumerate(state or ()):
        tensors[f"state.{i}"] = _array(tensor)
    write_tensors(path, tensors, {"progress": json.dumps(asdict(progress))})


def _optimizer_state(
    weights: FlatWeights, optimizer: torch.optim.Optimizer
) -> dict[str, dict[str, torch.Tensor]]:
    """What the optimiser remembers, by kind and by name of the parameter."""
    parts = [optimizer.state[group["params"][0]] for group in optimizer.param_groups]
    found = {}
    for key in parts[0]:
        values = [torch.as_tensor(part[key]) for part in parts if part[key] is not None]
        if not values:
            continue
        if values[0].ndim:
            found[key] = weights.split(torch.cat(values))
        else:  # the number of steps, the same for all
            found[key] = dict.fromkeys(weights.parameters, values[0])
    if weights.rows is not None and weights.rows.clock.steps:
        for name, table in weights.rows.tables.items():
            found["exp_avg"][name] = table.exp_avg_VD
            found["exp_avg_sq"][name] = table.exp_avg_sq_VD
    return found


def _array(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    # numpy has no bfloat16.
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def load_checkpoint(
    path: Path,
    weights: FlatWeights,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage,
    generator: torch.Generator,
) -> tuple[Progress, tuple[torch.Tensor, ...] | None]:
    """Restore a training in place; returns its progress and the state of the stream."""
    file = TensorFile(path, verify=True)
    try:
        progress = Progress(**json.loads(file.metadata["progress"]))
        progress.check()
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{path}: not a checkpoint of this version of nplm") from error
    with weights.exact():
        for name, tensor in weights.model.state_dict().items():
            key = f"model.{name}"
            if key not in file or file.shape(key) != tuple(tensor.shape):
                raise ArtifactError(f"{path}: {name} is missing or of another shape")
            _fill(tensor, file[key])
    try:
        _restore_optimizer(file, weights, optimizer, progress)
        means = {
            key.removeprefix("average."): torch.from_numpy(np.array(file[key]))
            for key in file
            if key.startswith("average.")
        }
        if bool(means) != bool(progress.averaged):
            raise ValueError("the averaged weights are missing")
        average.restore(means, progress.averaged)
        own_state = generator.get_state()
        if file.shape("generator") == tuple(own_state.shape):
            generator.set_state(torch.from_numpy(np.array(file["generator"])))
        else:  # of another kind of device: go on, if not to the same bytes
            generator.manual_seed(generator.initial_seed() + progress.step)
        pieces = sorted(
            (key for key in file if key.startswith("state.")),
            key=lambda key: int(key.removeprefix("state.")),
        )
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise ArtifactError(f"{path}: not a checkpoint of this training: {error}") from error
    weights.publish()
    state = tuple(weights.as_computed(torch.from_numpy(np.array(file[key]))) for key in pieces)
    return progress, state or None


def _restore_optimizer(
    file: TensorFile, weights: FlatWeights, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Give the optimiser what it remembered; raises ValueError where that does not fit."""
    kinds: dict[str, dict[str, torch.Tensor]] = {}
    for key in file:
        if key.startswith("optimizer."):
            name, kind = key.removeprefix("optimizer.").rsplit(".", 1)
            kinds.setdefault(kind, {})[name] = torch.from_numpy(np.array(file[key]))
    moments: dict[str, dict[str, torch.Tensor]] = {}
    for kind, pieces in kinds.items():
        if weights.rows is not None and kind != "step":
            moments[kind] = {n: pieces.pop(n) for n in list(pieces) if n in weights.rows.tables}
    state = {
        key.removeprefix("rows."): torch.from_numpy(np.array(file[key]))
        for key in file
        if key.startswith("rows.")
    }
    if weights.rows is not None:
        weights.rows.restore(state, moments)
    elif state:
        raise ValueError("its tables were trained by rows")
    keeps_state = not isinstance(optimizer, torch.optim.SGD)
    if progress.step and keeps_state and not kinds:
        raise ValueError("optimiser state is missing")
    restored: dict[int, dict[str, torch.Tensor]] = {}
    sizes = [len(group["params"][0]) for group in optimizer.param_groups]
    for kind, pieces in kinds.items():
        if kind == "step":
            steps = set(pieces)
            if steps != set(weights.parameters) or any(piece.ndim for piece in pieces.values()):
                raise ValueError("optimiser state of a parameter that is not trained, or missing")
            values = [next(iter(pieces.values()))] * len(sizes)
        else:
            values = list(weights.joined(pieces, f"optimiser's {kind}").split(sizes))
        for index, value in enumerate(values):
            # Fused optimisers write in place: each part needs memory of its own.
            restored.setdefault(index, {})[kind] = value.clone()
    packed = optimizer.state_dict()
    packed["state"] = restored
    optimizer.load_state_dict(packed)
