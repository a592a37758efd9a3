"""Is anything lost when the disk fails? Every command, every change of the disk, every fault.

    python tests/faults                        # the table: changes, faults, losses
    python tests/faults --only export mix      # commands whose name holds one of these words
    python tests/faults --kinds full power     # these kinds of fault alone

Each command is run once to count its changes of the disk, then once for every change and kind of
fault, which hits it there; then the next command has to end where the first would have. Exit
status 1 when anything is lost.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from fault_loop import Loss, cases, make_given
from faulty_disk import FAULTS


def main() -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="WORD", help="commands with one in the name")
    parser.add_argument("--kinds", nargs="+", choices=FAULTS, default=list(FAULTS))
    options = parser.parse_args()
    for name in options.kinds:
        print(f"{name:8}{FAULTS[name].why}")
    print()
    print("\t".join(["command", "changes", *options.kinds, "losses", "seconds"]))
    folder = Path(tempfile.mkdtemp(prefix="nplm-faults-")).resolve()
    total = lost = 0
    try:
        make_given(folder / "given")
        for case in cases(folder / "given", folder / "place"):
            if options.only and not any(word in case.name for word in options.only):
                continue
            began = time.monotonic()
            case.prepare()
            counts, losses = [], []
            for name in options.kinds:
                points = case.points(FAULTS[name])
                counts.append(len(points))
                for point in points:
                    try:
                        case.fail_at(FAULTS[name], point)
                    except Loss as loss:
                        losses.append(loss)
            total, lost = total + sum(counts), lost + len(losses)
            seconds = time.monotonic() - began
            row = [case.name, len(case.changes), *counts, len(losses), f"{seconds:.0f}"]
            print(*row, sep="\t", flush=True)
            for loss in losses:
                print(f"    {loss}", file=sys.stderr)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{total:,} faults, {lost:,} losses")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
