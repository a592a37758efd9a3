"""Penn Treebank, the LSTM mixed with Kneser-Ney of order 5 and a neural cache, one stream.

The budget is that of both trainings: the LSTM gets what Kneser-Ney leaves. The weights of the
mixture and the cache's settings are found on the validation text, whose perplexity is printed; so
it is a little lower than that of a text not looked at. The published setting is one core:
`taskset -c 1 python ptb_mixture.py --cores 1`.
"""

import json
import shlex
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from machine import corpora, table, use_checkout
from peak import described_peaks
from recipe import QUICK_STEPS, arguments, begin, nplm, spread_line, train
from settings import BUDGET, LSTM, PTB

use_checkout()

from nplm_cli.config import budget_seconds  # noqa: E402

KNESER_NEY = ("--arch", "ngram", "--order", "5", "--context", "stream")
# The shortest training of the LSTM that is worth a mixture.
LEAST_SECONDS = 5.0


def main() -> None:
    """Train both, mix them, and print every perplexity."""
    options = arguments(__doc__, f"{BUDGET} of training in all").parse_args()
    budget = budget_seconds(options.budget or BUDGET)
    begin(options, PTB)
    valid = str(corpora() / PTB[1])
    found = []
    with tempfile.TemporaryDirectory(prefix="nplm-quality-") as folder:
        target = options.keep or Path(folder)
        for seed in options.seed:
            print(f"\nseed      {seed}", flush=True)
            runs = {name: target / f"ptb_mixture-{name}-{seed}" for name in ("kn", "lstm", "mix")}
            _, spent = train(options, PTB, KNESER_NEY, runs["kn"])
            left = max(budget - spent, LEAST_SECONDS)
            length = ["--steps", str(QUICK_STEPS)] if options.quick else ["--budget", f"{left:.0f}"]
            settings = [*LSTM, "--baseline-order", "5", *length, "--seed", str(seed), *options.more]
            _, seconds = train(options, PTB, settings, runs["lstm"])
            print(f"training  {spent:.1f} s + {seconds:.1f} s")
            how = ["--cache", "neural"]
            shown = ["nplm", "mix", "LSTM", "KN", "--tune", PTB[1], *how, "-o", "MIX"]
            print(f"command   {shlex.join(shown)}", flush=True)
            mix = ["mix", str(runs["lstm"]), str(runs["kn"]), "--tune", valid, *how]
            print(nplm([*mix, "-o", str(runs["mix"]), "--force"]).rstrip())
            ppl = {name: _ppl(run, valid) for name, run in runs.items()}
            rows = [[name, f"{figure:.2f}"] for name, figure in ppl.items()]
            print(table(["nplm eval", "valid ppl"], rows))
            print(f"peak      {described_peaks()}", flush=True)
            found.append(ppl["mix"])
    if len(found) > 1:
        print(f"\n{spread_line(found)}")


def _ppl(run: Path, text: str) -> float:
    return float(json.loads(nplm(["eval", str(run), text, "--json", "-q"]))["ppl"])


if __name__ == "__main__":
    main()
