"""Penn Treebank, a small self-normalised window model, made for tables (`nplm compile`).

Five words, one hidden layer of rectified units: a score is a sum of five rows and a product of two.
`python ptb_tables.py --keep DIR`, then `nplm compile` and `python ../tables.py` of the run in DIR.
"""

from recipe import run
from settings import PTB, TABLES

run(__doc__, PTB, (*TABLES, "--baseline-order", "5"), epochs=8)
