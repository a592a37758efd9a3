"""How fast this machine multiplies matrices: what the speed of a training is held against."""

import time
from collections.abc import Callable

import torch

# Sides of square products; the fastest counts.
SIDES = (512, 768, 1024)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def matrix_peak(
    precision: str, seconds: float = 0.3, clock: Callable[[], float] = time.perf_counter
) -> float:
    """GFLOP/s of the fastest square product on torch's threads; 2 n^3 FLOP a product."""
    return max(_rate(side, DTYPES[precision], seconds / len(SIDES), clock) for side in SIDES)


def described_peaks() -> str:
    """The peaks of both formats in a line."""
    peaks = ", ".join(f"{name} {matrix_peak(name):,.0f}" for name in DTYPES)
    threads = torch.get_num_threads()
    return f"{peaks} GFLOP/s on {threads} {'thread' if threads == 1 else 'threads'}"


def _rate(side: int, dtype: torch.dtype, seconds: float, clock: Callable[[], float]) -> float:
    """GFLOP/s over as many products as ``seconds`` take, three at least."""
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.randn(side, side, generator=generator).to(dtype) for _ in range(2))
    result = torch.empty(side, side, dtype=dtype)
    torch.mm(left, right, out=result)
    products, began = 0, clock()
    while products < 3 or clock() - began < seconds:
        torch.mm(left, right, out=result)
        products += 1
    return 2 * side**3 * products / (clock() - began) / 1e9
