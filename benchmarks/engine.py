"""The training engine beside a plain PyTorch loop and the machine's matrix peak, in turns.

6 FLOP a multiplied weight and token, over the time of a step, is what a training computes; its
share of the peak says what is left. Embedding lookups, softmax, dropout, clipping and optimiser
count as time, not as work.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from machine import interquartile, table
from measuring import VOCABULARY, Row, Settings, in_turns, ratios_shown, shown, zipf_part
from peak import DTYPES, matrix_peak
from stepping import (
    ARCHITECTURES,
    TITLES,
    Stepper,
    flop,
    plain,
    product_gflops,
    tokens_a_second,
)

LARGE = (50_000, 250_000)
SPEEDS = ["tokens/s", "quartiles"]


def engine(settings: Settings) -> Iterator[str]:
    """Tables: beside the plain loop; large vocabularies; threads."""
    torch.set_num_threads(1)
    try:
        cpu_began, began = time.process_time(), time.perf_counter()
        for name in ARCHITECTURES:
            yield from _beside_plain(name, settings)
        yield from _vocabularies(settings)
        busy = (time.process_time() - cpu_began) / (time.perf_counter() - began)
        yield f"\nthis process had {busy:.2f} of a core so far"
        if busy < 0.95 and settings.clock is time.perf_counter:
            yield "something else ran there: the figures are too low (or try --cpu-time)"
        yield from _threads(settings)
    finally:
        torch.set_num_threads(settings.threads)


def _seconds(settings: Settings) -> float:
    """Time of one side in one turn."""
    return 0.3 if settings.quick else 1.5


def _beside_plain(name: str, settings: Settings) -> Iterator[str]:
    """Full softmax, V = 10,000: nplm as it chooses and in fp32, the plain loop, the peaks."""
    seconds, clock = _seconds(settings), settings.clock
    auto, exact = (
        Stepper(name, settings.part, VOCABULARY, settings.folder, precision=precision)
        for precision in ("auto", "fp32")
    )
    peer = plain(name, settings.part, VOCABULARY)
    assert flop(peer.model) == flop(auto.model)
    sides: dict[str, Callable[[], float]] = {
        **{p: partial(matrix_peak, p, clock=clock) for p in DTYPES},
        "auto": tokens_a_second(auto, seconds, clock),
        "exact": tokens_a_second(exact, seconds, clock),
        "peer": tokens_a_second(peer, seconds, clock),
        "products": product_gflops(peer, clock),
    }
    rates = in_turns(sides, settings.turns)
    work = flop(auto.model) / 1e9
    rows = []
    for what, side, precision in (
        (f"nplm --precision auto ({auto.precision})", "auto", auto.precision),
        ("nplm --precision fp32", "exact", "fp32"),
        ("plain PyTorch fp32", "peer", "fp32"),
    ):
        beside = "1" if side == "peer" else _ratio(rates[side], rates["peer"])
        turns = "" if side == "peer" else ratios_shown(rates[side], rates["peer"])
        of_peak = _of_peak([rate * work for rate in rates[side]], rates, precision)
        rows.append([what, *_speed(rates[side]), beside, turns, *of_peak])
    rows.append(
        ["  within its products", "", "", "", "", *_of_peak(rates["products"], rates, "fp32")]
    )
    batch = ARCHITECTURES[name]
    peaks = ", ".join(f"{p} {statistics.median(rates[p]):,.0f}" for p in DTYPES)
    yield (
        f"\n{TITLES[name]}, tied, stream {batch['batch']} x {batch['bptt']}, full softmax over "
        f"{VOCABULARY:,} words, 1 thread\nmatrix peak {peaks} GFLOP/s; "
        f"{work * 1e3:.1f} MFLOP a token"
    )
    header = ["training", *SPEEDS, "x plain", "of each turn", "GFLOP/s", "of the peak"]
    yield table(header, rows)


def _vocabularies(settings: Settings) -> Iterator[str]:
    """The LSTM on made-up text: full and sampled softmax, larger and larger vocabularies."""
    seconds, clock = _seconds(settings), settings.clock
    tokens = 200_000 if settings.quick else 900_000
    plans = [("full", VOCABULARY), ("sampled", VOCABULARY), *(("sampled", v) for v in LARGE)]
    sides = {
        f"--loss {loss}, V = {size:,}": tokens_a_second(
            Stepper("lstm", zipf_part(size, tokens), size, settings.folder, loss=loss),
            seconds,
            clock,
        )
        for loss, size in plans
    }
    rates = in_turns(sides, settings.turns)
    middle = rates[f"--loss sampled, V = {LARGE[0]:,}"]
    rows = [
        [what, *_speed(found), _ratio(found, middle), ratios_shown(found, middle)]
        for what, found in rates.items()
    ]
    yield f"\n{TITLES['lstm']}, made-up Zipf text, --precision auto, 1 thread"
    yield table(["training", *SPEEDS, f"x V = {LARGE[0]:,}", "of each turn"], rows)


def _threads(settings: Settings) -> Iterator[str]:
    """All threads against one, by the clock."""
    many = settings.threads
    if many < 2:
        yield "\nthreads: only one to use here"
        return
    sides: dict[str, Callable[[], float]] = {}
    for precision in DTYPES:
        _at(sides, f"matrix peak {precision}, GFLOP/s", partial(matrix_peak, precision), many)
    for name in ARCHITECTURES:
        stepper = Stepper(name, settings.part, VOCABULARY, settings.folder)
        work = tokens_a_second(stepper, _seconds(settings))
        _at(sides, f"{TITLES[name]} ({stepper.precision}), tokens/s", work, many)
    rates = in_turns(sides, settings.turns)
    rows: list[Row] = []
    for what in [name.removesuffix(" @1") for name in sides if name.endswith(" @1")]:
        one, all_threads = rates[f"{what} @1"], rates[f"{what} @{many}"]
        rows.append([what, *(shown(statistics.median(r)) for r in (one, all_threads)),
                     _ratio(all_threads, one), ratios_shown(all_threads, one)])  # fmt: skip
    yield "\nthreads, full softmax"
    yield table(["what", "1 thread", f"{many} threads", "ratio", "of each turn"], rows)


def _at(
    sides: dict[str, Callable[[], float]], what: str, work: Callable[[], float], many: int
) -> None:
    """Add two sides: the same work on one thread and on many."""

    def on(threads: int) -> float:
        torch.set_num_threads(threads)
        return work()

    for threads in (1, many):
        sides[f"{what} @{threads}"] = partial(on, threads)


def _speed(rates: list[float]) -> list[str]:
    low, high = interquartile(rates)
    return [shown(statistics.median(rates)), f"{shown(low)}-{shown(high)}"]


def _of_peak(gflops: list[float], rates: dict[str, list[float]], precision: str) -> list[str]:
    """GFLOP/s and their share of the peak of the same turn, medians."""
    shares = [rate / peak for rate, peak in zip(gflops, rates[precision], strict=True)]
    return [shown(statistics.median(gflops)), f"{statistics.median(shares):.2f} {precision}"]


def _ratio(ours: list[float], peer: list[float]) -> str:
    return f"{statistics.median(ours) / statistics.median(peer):.2f}"
