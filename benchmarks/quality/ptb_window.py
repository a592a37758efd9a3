"""Penn Treebank, feedforward model that sees 53 words, the text as one stream.

The published setting is one core: `taskset -c 1 python ptb_window.py --cores 1 --seed 1 2 3`.
"""

from recipe import run
from settings import BUDGET, PTB, WINDOW

run(__doc__, PTB, (*WINDOW, "--baseline-order", "5"), budget=BUDGET)
