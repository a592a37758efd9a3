"""People's Daily, January 1998, 10,000 words, LSTM, the text as one stream.

The published setting is one core: `taskset -c 1 python people_daily_lstm.py --cores 1`.
"""

from recipe import run
from settings import BUDGET, LSTM, PEOPLE_DAILY, PEOPLE_DAILY_TEXT

run(__doc__, PEOPLE_DAILY, (*LSTM, *PEOPLE_DAILY_TEXT), budget=BUDGET)
