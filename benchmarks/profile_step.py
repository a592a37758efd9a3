"""Where the time of a training step goes: its costliest operations, by torch's profiler.

    python benchmarks/profile_step.py lstm
    python benchmarks/profile_step.py ffn --plain            # the plain PyTorch loop instead
    python benchmarks/profile_step.py lstm --loss sampled --vocabulary 250000

The architectures, batches and dropouts are those of the section "engine" of throughput.py; the text
is made up. Time within an operation, without what it calls; what is left is Python and autograd.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from machine import describe, table, use_checkout

use_checkout()
from nplm_cli.threads import let_threads_wait  # noqa: E402

let_threads_wait()

import torch  # noqa: E402
from measuring import VOCABULARY, zipf_part  # noqa: E402
from peak import matrix_peak  # noqa: E402
from stepping import ARCHITECTURES, TITLES, Stepper, Training, flop, plain, profiled  # noqa: E402


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("arch", choices=ARCHITECTURES)
    parser.add_argument("--plain", action="store_true", help="the plain PyTorch fp32 loop")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--loss", default="full", help="as of nplm train (default full)")
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY, metavar="V")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    parser.add_argument("--steps", type=int, default=20, help="steps to profile (default 20)")
    parser.add_argument("--top", type=int, default=10, help="operations to print (default 10)")
    parser.add_argument("--cpu-time", action="store_true", help="not the clock, the processor's")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    print(describe(options.threads))
    part = zipf_part(options.vocabulary, 200_000)
    training: Training
    if options.plain:
        training, precision = plain(options.arch, part, options.vocabulary), "fp32"
        side = "plain PyTorch loop"
    else:
        settings = {"precision": options.precision, "loss": options.loss}
        with tempfile.TemporaryDirectory() as folder:  # nothing is written there
            ours = Stepper(options.arch, part, options.vocabulary, Path(folder), **settings)
        training, precision = ours, ours.precision
        side = f"nplm, {options.loss} softmax"
    times = []
    for _ in range(3 + options.steps):
        began = clock()
        predictions = training.step()
        times.append(clock() - began)
    step = statistics.median(times[3:])
    print(
        f"\n{TITLES[options.arch]}, V = {options.vocabulary:,}, {side}, {precision}: "
        f"{step * 1e3:.1f} ms a step of {predictions:,} tokens, {predictions / step:,.0f} tokens/s"
    )
    if options.plain or options.loss == "full":
        gflops = flop(training.model) * predictions / step / 1e9
        peak = matrix_peak(precision, clock=clock)
        print(f"{gflops:,.0f} GFLOP/s, {gflops / peak:.2f} of the matrix peak ({peak:,.0f})")
    profile = profiled(training, options.steps, clock)
    rows = [
        [o.name, f"{o.calls:.0f}", f"{o.seconds * 1e3:.2f}", f"{o.seconds / profile.seconds:.1%}"]
        for o in profile.operations[: options.top]
    ]
    shown = sum(o.seconds for o in profile.operations)
    listed = sum(o.seconds for o in profile.operations[: options.top])
    for what, seconds in (
        ("other operations", shown - listed),
        ("outside operations", profile.seconds - shown),
        ("step, with the profiler", profile.seconds),
    ):
        rows.append([what, "", f"{seconds * 1e3:.2f}", f"{seconds / profile.seconds:.1%}"])
    print(f"\n{table(['operation', 'calls', 'ms a step', 'share'], rows)}")


if __name__ == "__main__":
    main()
