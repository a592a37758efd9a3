"""Count language models in numpy: the baseline of every report and ``--arch ngram``.

counting.py    a token stream -> the n-grams of each order, with raw and continuation counts
kneser_ney.py  discounts and backoff weights of interpolated modified Kneser-Ney
trie.py        the tables of all orders, and how n-grams are found in them
model.py       NgramModel: train, probabilities, counts, continuations
backoff_path.py  what each order adds to one probability
storage.py     a model as named arrays and back
unigram.py     relative frequencies of words
"""

from nplm_cli.ngram.model import NgramModel
from nplm_cli.ngram.unigram import unigram_log_probs

__all__ = ["NgramModel", "unigram_log_probs"]
