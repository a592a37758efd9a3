"""The words whose probability is explained: the most probable ones, and those asked for."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nplm_cli.corpus.vocabulary import UNK_ID
from nplm_cli.errors import ConfigError
from nplm_cli.query.predict import surprisal_bits
from nplm_cli.query.run import Run


def asked_ids(run: Run, words: Sequence[str]) -> list[tuple[str, int]]:
    """Words as they were asked for, and their ids; of an unknown word that of ``<unk>``.

    Raises ConfigError when one is empty.
    """
    if not all(word.strip() for word in words):
        raise ConfigError("--word '': name a word, or </s> for the end of the sentence")
    return [(word, run.vocabulary.index.get(run.spelled(word), UNK_ID)) for word in words]


class Ranked:
    """Words under one distribution: ln p (V,) and, of a network's softmax, logits (V,)."""

    def __init__(self, run: Run, log_p_V: np.ndarray, logits_V: np.ndarray | None = None):
        self.names, self.index = run.vocabulary.tokens, run.vocabulary.index
        self.spelled = run.spelled
        self.log_p_V, self.logits_V = log_p_V, logits_V
        self.order = np.argsort(-log_p_V, kind="stable")

    def record(self, i: int) -> dict[str, Any]:
        """A word with its rank, counted from 1 (ties by id), logit, ln p, p and surprisal."""
        log_p = float(self.log_p_V[i])
        higher = self.log_p_V > log_p
        ties = self.log_p_V[:i] == log_p
        logit = {} if self.logits_V is None else {"logit": float(self.logits_V[i])}
        return {
            "word": self.names[i],
            "id": i,
            "rank": 1 + int(higher.sum()) + int(ties.sum()),
            **logit,
            "logprob_e": log_p,
            "probability": math.exp(log_p),
            "surprisal_bits": surprisal_bits(log_p),
        }

    def top(self, k: int) -> list[dict[str, Any]]:
        """The k most probable words; those of probability 0 are left out."""
        return [self.record(int(i)) for i in self.order[:k] if np.isfinite(self.log_p_V[i])]

    def asked(self, words: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
        """Records of words that were asked for: ``asked`` as they were typed, ``oov``."""
        return [
            {"asked": word, "oov": self.spelled(word) not in self.index, **self.record(i)}
            for word, i in words
        ]

    def explained(self, words: Sequence[tuple[str, int]]) -> list[int]:
        """Ids of the words to explain: each one asked for, once, or the most probable one."""
        return list(dict.fromkeys(i for _, i in words)) or [int(self.order[0])]
