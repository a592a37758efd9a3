"""People's Daily, January 1998, with the settings of the homework (--preset homework).

A vocabulary of 1,000 words leaves a third of the words unknown: read ppl_oov_adjusted and
bits_per_char, and never compare the raw perplexity with one of another vocabulary.
"""

from recipe import run

run(
    __doc__,
    ("pku199801/words.train.txt", "pku199801/words.valid.txt"),
    ("--preset", "homework", "--sentences", "line"),
    epochs=10,
)
