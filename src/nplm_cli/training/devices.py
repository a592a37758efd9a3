"""Where a training runs and what it will take there."""

import math
import os
from typing import Any

import torch

from nplm_cli.errors import ConfigError, TrainingError
from nplm_cli.query import FORWARD
from nplm_cli.query.run import Run
from nplm_cli.training.losses import CHUNK_LOGITS

# Copies of each parameter that an optimiser keeps besides weight and gradient.
OPTIMIZER_COPIES = {"sgd": 0, "momentum": 1, "adam": 2, "adamw": 2, "rmsprop": 1, "adagrad": 1}


def pick_device(name: str) -> torch.device:
    """Return the device of this name; ``auto`` is a GPU if torch sees one.

    Raises ConfigError for unknown names and for a GPU that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"--device {name!r}: expected auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"--device {name!r}: expected auto, cpu or cuda")
    if device.type == "cuda":
        _full_precision()
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"--device {name}: torch {torch.__version__} sees {torch.cuda.device_count()} GPUs; "
            "use --device cpu, or install a CUDA build of torch"
        )
    return device


def _full_precision() -> None:
    """Let cuDNN's recurrences multiply in fp32; TF32, its default, keeps ten bits of a factor."""
    rnn: Any = getattr(torch.backends.cudnn, "rnn", None)
    if hasattr(rnn, "fp32_precision"):
        rnn.fp32_precision = "ieee"
    else:
        torch.backends.cudnn.allow_tf32 = False


def memory_estimate(run: Run, device: torch.device) -> str:
    """One line, before anything is allocated: parameters, and bytes that training will hold."""
    config, vocabulary = run.config, len(run.vocabulary)
    shapes = FORWARD[config.model.arch].expected_shapes(config.model.resolved(), vocabulary)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    parameters = sum(sizes.values())
    frozen = sizes["embedding.weight"] if config.model.freeze_vectors else 0
    copies = 1 + OPTIMIZER_COPIES[config.training.optimizer]
    needed = 4 * (parameters + (parameters - frozen) * copies + CHUNK_LOGITS)
    train = run.record["data"]["parts"]["train"]
    line = (
        f"{config.model.arch}: {parameters:,} parameters, {train['predictions']:,} training tokens "
        f"({train['sentences']:,} sentences), vocabulary {vocabulary:,}; "
        f"about {needed / 2**20:,.0f} MiB for weights, gradients and optimiser on {device}"
    )
    free = _free_memory(device)
    if free is not None and needed > free:
        raise TrainingError(
            f"{line}, but only {free / 2**20:,.0f} MiB are free: "
            "lower --max-size, --dim or --hidden"
        )
    return line


def _free_memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
