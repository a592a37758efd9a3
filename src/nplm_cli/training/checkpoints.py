"""Weights and full training states as safetensors files; nothing is pickled."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from nplm_cli.artifacts import TensorFile, write_tensors
from nplm_cli.errors import ArtifactError
from nplm_cli.models.base import LanguageModel
from nplm_cli.training.averaging import WeightAverage
from nplm_cli.training.progress import Progress


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
        tensor.copy_(torch.from_numpy(np.array(file[name])))


def save_checkpoint(
    path: Path,
    model: LanguageModel,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage,
    generator: torch.Generator,
    state: tuple[torch.Tensor, ...] | None,
    progress: Progress,
) -> None:
    """Write everything that the next step depends on, atomically, as one file."""
    tensors = {f"model.{name}": _array(t) for name, t in model.state_dict().items()}
    names = _names(model, optimizer)
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            if value is not None:
                tensors[f"optimizer.{names[index]}.{key}"] = _array(torch.as_tensor(value))
    tensors |= {f"average.{name}": _array(mean) for name, mean in average.means.items()}
    tensors["generator"] = generator.get_state().numpy()
    for i, tensor in enumerate(state or ()):
        tensors[f"state.{i}"] = _array(tensor)
    write_tensors(path, tensors, {"progress": json.dumps(asdict(progress))})


def _names(model: LanguageModel, optimizer: torch.optim.Optimizer) -> list[str]:
    """Names of the trained parameters, in the order in which the optimiser numbers them."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(p)] for group in optimizer.param_groups for p in group["params"]]


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def load_checkpoint(
    path: Path,
    model: LanguageModel,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage,
    generator: torch.Generator,
) -> tuple[Progress, tuple[torch.Tensor, ...] | None]:
    """Restore a training in place; returns its progress and the state of the stream."""
    file = TensorFile(path, verify=True)
    try:
        progress = Progress(**json.loads(file.metadata["progress"]))
        progress.check()
    except (KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: not a checkpoint of this version of nplm") from error
    own = model.state_dict()
    for name, tensor in own.items():
        key = f"model.{name}"
        if key not in file or file.shape(key) != tuple(tensor.shape):
            raise ArtifactError(f"{path}: {name} is missing or of another shape")
        tensor.copy_(torch.from_numpy(np.array(file[key])))
    packed = optimizer.state_dict()
    names = _names(model, optimizer)
    number = {name: index for index, name in enumerate(names)}
    restored: dict[int, dict[str, torch.Tensor]] = {}
    try:
        for key in file:
            if key.startswith("optimizer."):
                name, kind = key.removeprefix("optimizer.").rsplit(".", 1)
                if name not in number:
                    raise ValueError(f"optimiser state of {name}, which is not trained")
                tensor = torch.from_numpy(np.array(file[key]))
                # Fused optimisers write without looking: a wrong shape would write elsewhere.
                shape = () if kind == "step" else tuple(model.get_parameter(name).shape)
                if tuple(tensor.shape) != shape:
                    raise ValueError(f"{kind} of {name} has another shape")
                restored.setdefault(number[name], {})[kind] = tensor
        keeps_state = not isinstance(optimizer, torch.optim.SGD)
        if progress.step and keeps_state and len(restored) < len(names):
            raise ValueError("optimiser state is missing")
        packed["state"] = restored
        optimizer.load_state_dict(packed)
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
    device = model.embedding.weight.device
    state = tuple(torch.from_numpy(np.array(file[key])).to(device) for key in pieces)
    return progress, state or None
