"""Words as a test set spells them, found among the words that have vectors."""

from collections.abc import Callable

import numpy as np

from nplm_cli.errors import ConfigError
from nplm_cli.vectors.keyed import KeyedVectors


class Lookup:
    """Finds rows of words; ``rows`` (ascending) are those that may be found and may answer.

    The rows in ``skip`` are never found. ``normalize`` is what the training text went through
    (lower case, half-width letters) and is done to each word that is asked for. With
    ``ignore_case`` words that differ in case alone are one word, whose vector is that of the most
    frequent spelling. ``restrict`` keeps so many of the most frequent words.
    Raises ConfigError when ``restrict`` is below 1.
    """

    def __init__(
        self,
        vectors: KeyedVectors,
        *,
        normalize: Callable[[str], str] | None = None,
        ignore_case: bool = False,
        restrict: int | None = None,
    ):
        if restrict is not None and restrict < 1:
            raise ConfigError(f"restricted to {restrict} words: expected at least 1")
        self.vectors = vectors
        self._normalize = normalize or (lambda word: word)
        self._fold: Callable[[str], str] = str.casefold if ignore_case else str
        self._index: dict[str, int] = {}
        for row in vectors.rows_by_frequency()[:restrict].tolist():
            self._index.setdefault(self._fold(vectors.words[row]), row)
        self.rows = np.sort(np.fromiter(self._index.values(), np.int64, len(self._index)))

    def row(self, word: str) -> int | None:
        """Row of ``word``, or None when it is not to be found."""
        return self._index.get(self._fold(self._normalize(word)))

    def normalized(self, word: str) -> str:
        """``word`` as the training text would have it."""
        return self._normalize(word)
