"""The number format in which a model computes while it is trained.

bf16 has fp32's range and eight bits of a factor; products in it are two to three times as fast
where the processor has them. Weights, optimiser, evaluation and files stay in fp32
(``weights.py``).
"""

import math

import torch

from nplm_cli.config import Config, ModelConfig
from nplm_cli.errors import ConfigError
from nplm_cli.query import FORWARD

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

# Models with fewer multiplications a token stay in fp32 under ``auto``: a training takes minutes at
# most, and its figures are then the same on every processor.
LEAST_PRODUCTS = 500_000


def pick_precision(
    config: Config, device: torch.device, vocabulary_size: int, began_in: object = None
) -> tuple[str, str]:
    """Return the number format, a key of ``DTYPES``, and the reason for it in a few words.

    ``auto`` is bf16 where the processor multiplies in it and the model is large enough to gain:
    by the processor's flags and the settings, never by a timing. A training that ``began_in`` a
    format goes on in it where the device can. Raises ConfigError for bf16 on a GPU that has none.
    """
    name, model = config.training.precision, config.model.resolved()
    able, flags = _has_bf16(device)
    if name == "bf16" and device.type == "cuda" and not able:
        raise ConfigError(f"--precision bf16: {flags} does not compute in bf16: use fp32")
    if name != "auto":
        slow = "" if able or name == "fp32" else f", although {flags} has no bf16 products: slow"
        return name, f"as asked{slow}"
    if began_in in DTYPES and (able or began_in == "fp32"):
        return str(began_in), "as the training began"
    if not able:
        return "fp32", f"{flags} has no bf16 products"
    if _products(model, vocabulary_size) < LEAST_PRODUCTS:
        return "fp32", "a small model, whose figures are the same on every processor"
    return "bf16", f"{flags}; weights and evaluation in fp32"


def _products(config: ModelConfig, vocabulary_size: int) -> int:
    """Weights of all matrices that multiply: not the word vectors, which are looked up."""
    shapes = FORWARD[config.arch].expected_shapes(config, vocabulary_size)
    looked_up = () if config.tie else ("embedding.weight",)
    return sum(
        math.prod(shape)
        for name, shape in shapes.items()
        if len(shape) == 2 and name not in looked_up
    )


def _has_bf16(device: torch.device) -> tuple[bool, str]:
    """Whether a device multiplies in bf16, and what it is called."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return torch.cuda.get_device_capability(device) >= (8, 0), name
    flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    for flag in ("amx_bf16", "avx512_bf16"):
        if flags.get(flag):
            return True, f"processor with {flag}"
    return False, "this processor"
