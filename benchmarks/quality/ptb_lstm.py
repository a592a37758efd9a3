"""Penn Treebank, LSTM, the text as one stream as the literature reads it.

The published setting is one core: `taskset -c 1 python ptb_lstm.py --cores 1 --seed 1 2 3`.
"""

from recipe import run
from settings import BUDGET, LSTM, PTB

run(__doc__, PTB, (*LSTM, "--baseline-order", "5"), budget=BUDGET)
