"""People's Daily, January 1998, 10,000 words, feedforward model that sees 53 words, one stream.

The published setting is one core: `taskset -c 1 python people_daily_window.py --cores 1`.
"""

from recipe import run
from settings import BUDGET, PEOPLE_DAILY, PEOPLE_DAILY_TEXT, WINDOW

run(__doc__, PEOPLE_DAILY, (*WINDOW, *PEOPLE_DAILY_TEXT), budget=BUDGET)
