"""Where a training runs and what it will take there."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nplm_cli.config import Config
from nplm_cli.errors import ConfigError, TrainingError
from nplm_cli.query import FORWARD
from nplm_cli.query.run import Run
from nplm_cli.training.losses import CHUNK_LOGITS
from nplm_cli.training.precision import pick_precision
from nplm_cli.training.rows import in_rows

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
    needed = needed_bytes(config, sizes, vocabulary, pick_precision(config, device, vocabulary)[0])
    train = run.record["data"]["parts"]["train"]
    line = (
        f"{config.model.arch}: {parameters:,} parameters, {train['predictions']:,} training tokens "
        f"({train['sentences']:,} sentences), vocabulary {vocabulary:,}; "
        f"about {needed / 2**20:,.0f} MiB for weights, gradients, optimiser and a chunk of scores "
        f"on {device}"
    )
    free = _free_memory(device)
    if free is not None and needed > free:
        raise TrainingError(
            f"{line}, but only {free / 2**20:,.0f} MiB are free: "
            "lower --max-size, --dim or --hidden"
        )
    return line


def needed_bytes(
    config: Config, sizes: Mapping[str, int], vocabulary_size: int, precision: str
) -> int:
    """Bytes that a training holds; ``sizes`` are the numbers in each tensor of the model.

    Each weight, what the optimiser remembers of it, its rounded copy under bf16, and its gradient
    as it is computed and in fp32; no gradient of a table that is trained by rows; an average twice,
    as it changes places with the weights.
    """
    training = config.training
    trained = set(sizes) - ({"embedding.weight"} if config.model.freeze_vectors else set())
    by_rows = in_rows(config.model.resolved(), training, trained, vocabulary_size)
    small = 2 if precision == "bf16" else 4
    total = CHUNK_LOGITS * small
    for name, size in sizes.items():
        rounded = small if precision == "bf16" else 0
        gradients = 0 if name in by_rows else 4 + small
        moments = 4 * OPTIMIZER_COPIES[training.optimizer]
        averages = 8 if training.average != "none" else 0
        mine = gradients + moments + averages if name in trained else 0
        total += size * (4 + rounded + mine)
    return total


def _free_memory(device: torch.device) -> int | None:
    """Bytes that a new allocation may take; None where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = [free for free in (_free_on_machine(), _free_in_container()) if free is not None]
    return min(found, default=None)


def _free_on_machine(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Free memory and what the page cache gives back: after reading a text that is most of it."""
    try:
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return None


def _free_in_container(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a control group's limit (version 2) leaves; its page cache can be given back."""
    try:
        limit = int((group / "memory.max").read_text())  # "max": none
        lines = (group / "memory.stat").read_text().splitlines()
        cached = int(dict(line.split() for line in lines)["file"])
        return max(0, limit - int((group / "memory.current").read_text()) + cached)
    except (OSError, ValueError, KeyError):
        return None
