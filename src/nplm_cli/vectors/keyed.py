"""Word vectors as an artefact of their own: words, a matrix, and exact nearest neighbours.

Nothing here knows which model trained the vectors. The matrix may be a read-only memory map;
it is read in blocks, so that memory stays bounded up to a million words of 300 dimensions.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from nplm_cli.errors import ArtifactError, ConfigError, UnknownWordError
from nplm_cli.vectors import nearest
from nplm_cli.vectors.line_words import LineWords
from nplm_cli.vectors.nearest import Metric
from nplm_cli.vectors.row_lengths import NotFiniteError, RowLengths, centred_norms
from nplm_cli.vectors.unknown import explain_unknown
from nplm_cli.vectors.word_rows import WordRows


class Neighbor(NamedTuple):
    """A word near a query: similarity (cosine, correlation) or distance (euclidean), and count."""

    word: str
    score: float
    count: int | None  # type: ignore[assignment]  # hides tuple.count, which nobody needs


class KeyedVectors:
    """Words and their vectors, row i of ``vectors`` (V, d) belonging to ``words[i]``.

    ``words`` is a sequence, or what knows the lines of a file: then words become strings when they
    are asked for.
    ``counts`` are the words' frequencies in the training text (V), or None. ``skip`` holds rows
    that are never offered as neighbours or samples (the specials ``<unk>`` and ``</s>``).
    ``duplicates`` says how many repeated words a loader dropped (the first one wins).
    Raises ArtifactError when the sizes disagree or a word occurs twice.
    """

    def __init__(
        self,
        words: Sequence[str] | LineWords,
        vectors: np.ndarray,
        counts: Sequence[int] | np.ndarray | None = None,
        skip: Collection[int] = (),
        *,
        duplicates: int = 0,
    ):
        if vectors.ndim != 2 or len(vectors) != len(words):
            raise ArtifactError(
                f"{len(words)} words but vectors of shape {vectors.shape}: expected a row a word"
            )
        if counts is not None and len(counts) != len(words):
            raise ArtifactError(f"{len(words)} words but {len(counts)} counts: expected one a word")
        with np.errstate(over="ignore", invalid="ignore"):  # the search refuses what is not finite
            self.vectors: np.ndarray = np.asarray(vectors, dtype=np.float32)
        self.counts = None if counts is None else np.asarray(counts, dtype=np.int64)
        self.skip = frozenset(int(row) for row in skip)
        self.duplicates = duplicates
        self._rows = WordRows(words)
        self._lengths = RowLengths(self.vectors)
        self._correlation_norms: np.ndarray | None = None

    @property
    def words(self) -> Sequence[str]:
        """All words, in the order of rows."""
        return self._rows.words

    @property
    def index(self) -> dict[str, int]:
        """Row of each word."""
        return self._rows.index

    def __len__(self) -> int:
        return len(self.vectors)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self.index_of(word) is not None

    def __getitem__(self, word: str | int) -> np.ndarray:
        """The vector (d) of a word or row. Raises UnknownWordError."""
        vector: np.ndarray = self.vectors[self._row(word)]
        return vector

    @property
    def dim(self) -> int:
        """Number of dimensions d."""
        return int(self.vectors.shape[1])

    def index_of(self, word: str) -> int | None:
        """Row of ``word``, or None when it has no vector."""
        return self._rows.row(word)

    def _row(self, query: str | int) -> int:
        if isinstance(query, str):
            row = self.index_of(query)
            if row is None:
                raise UnknownWordError(explain_unknown(query, self.index).describe())
            return row
        if not 0 <= query < len(self):
            raise UnknownWordError(f"no row {query}: rows go from 0 to {len(self) - 1}")
        return int(query)

    def neighbors(
        self, queries: Sequence[str | int], k: int = 10, metric: Metric = "cosine"
    ) -> list[list[Neighbor]]:
        """The k nearest words of every query (a word or a row), exactly, nearest first.

        With a query q and a row x of the matrix, the score is

        - ``cosine``: q.x / (|q| |x|), descending; 0 where q or x is the zero vector;
        - ``correlation``: Pearson's r, the cosine of q - mean(q) and x - mean(x), descending;
          0 where q or x is constant;
        - ``euclidean``: the distance |q - x|, ascending.

        The query itself and the rows in ``skip`` are left out. Scores are computed in float64
        from the float32 vectors, the same for equal rows to the bit; ties are in order of rows.
        Fewer than k come back when there are fewer words. Raises UnknownWordError for a query
        that has no vector, ConfigError for a bad k or metric, and ArtifactError when a vector
        is not finite.
        """
        rows = [self._row(query) for query in queries]
        found = self._search(
            [self.vectors[row].astype(np.float64) for row in rows],
            [self.skip | {row} for row in rows],
            k,
            metric,
        )
        return [[self.neighbor(row, score) for row, score in best] for best in found]

    def similarity(self, a: str | int, b: str | int) -> float:
        """Cosine of two words' vectors; 0 where one is the zero vector. Raises UnknownWordError."""
        scores = nearest.exact_scores(
            self[a].astype(np.float64), self[b].astype(np.float64)[None], "cosine"
        )
        return float(scores[0])

    def most_similar(
        self,
        positive: str | int | Sequence[str | int] = (),
        negative: str | int | Sequence[str | int] = (),
        topn: int = 10,
    ) -> list[tuple[str, float]]:
        """Words by cosine to the sum of the unit vectors of ``positive`` minus ``negative``.

        The analogy rule 3CosAdd (Mikolov et al. 2013): a is to b as c is to
        ``most_similar([b, c], [a])``. Input words and ``skip`` are left out.
        """
        plus = [self._row(word) for word in _as_list(positive)]
        minus = [self._row(word) for word in _as_list(negative)]
        if not plus + minus:
            raise ConfigError("most_similar needs at least one positive or negative word")
        query = np.zeros(self.dim)
        for row, sign in [(row, 1.0) for row in plus] + [(row, -1.0) for row in minus]:
            query += sign * nearest.unit(self.vectors[row].astype(np.float64))
        [best] = self._search([query], [self.skip.union(plus, minus)], topn, "cosine")
        return [(self._rows.word(row), score) for row, score in best]

    def _search(
        self,
        queries: list[np.ndarray],
        excluded: list[frozenset[int]],
        k: int,
        metric: Metric,
    ) -> list[list[tuple[int, float]]]:
        nearest.check(metric, k)
        # A search looks at all rows, and so finds what is not finite; but not by such queries.
        if metric == "correlation" or not queries or not np.isfinite(queries).all():
            self.check_finite()
        norms = self._centred_norms() if metric == "correlation" else None
        try:
            return nearest.search(self.vectors, norms, self._lengths, queries, excluded, k, metric)
        except NotFiniteError as error:
            raise self._not_finite(error.row) from error

    def _centred_norms(self) -> np.ndarray:
        if self._correlation_norms is None:
            self._correlation_norms = centred_norms(self.vectors)
        return self._correlation_norms

    def check_finite(self) -> None:
        """Raise ArtifactError, naming the word, when a vector holds nan or inf."""
        try:
            self._lengths.all()
        except NotFiniteError as error:
            raise self._not_finite(error.row) from error

    def _not_finite(self, row: int) -> ArtifactError:
        return ArtifactError(
            f"the vector of {self._rows.word(row)!r} (row {row}) holds nan or inf; "
            "train or export it again"
        )

    def unit_rows(self, rows: np.ndarray) -> np.ndarray:
        """Vectors (N, d, float64) of ``rows`` (N) divided by their lengths; zeros stay zeros.

        Raises ArtifactError when a vector is not finite.
        """
        self.check_finite()
        rows_ND = self.vectors[rows].astype(np.float64)
        lengths_N1 = np.sqrt(np.einsum("nd,nd->n", rows_ND, rows_ND))[:, None]
        return np.divide(rows_ND, lengths_N1, out=rows_ND, where=lengths_N1 > 0)

    def rows_by_frequency(self) -> np.ndarray:
        """Rows (at most V) outside ``skip``, the most frequent word's first.

        Without counts the order of rows is taken for the order of frequency.
        """
        order_V = np.arange(len(self))
        if self.counts is not None:
            order_V = np.argsort(-self.counts, kind="stable")
        rows: np.ndarray = order_V[~np.isin(order_V, list(self.skip))]
        return rows

    def neighbor(self, row: int, score: float) -> Neighbor:
        """The word of a row, with a score and its count."""
        count = None if self.counts is None else int(self.counts[row])
        return Neighbor(self._rows.word(row), score, count)

    def sample_words(
        self,
        n: int,
        *,
        seed: int,
        band: tuple[int, int] | None = None,
        keep: Callable[[str], bool] | None = None,
    ) -> list[str]:
        """Draw n words for a look at their neighbours, most frequent first.

        ``band`` is the first and last frequency rank to draw from (rank 1 is the most frequent
        word outside ``skip``; without counts the order of rows is taken for the order of
        frequency). It is cut into five strata of equal width in log rank, which are drawn from
        in turn, so that frequent and rare words both occur. Without ``band``, ranks 101 to
        10,000 serve, or all ranks when those do not hold n words. ``keep`` says which words are
        eligible; by default words of letters, no punctuation and no digits (``is_plain_word``).
        The same seed gives the same words. Fewer than n come back when fewer are eligible.
        """
        from nplm_cli.vectors import sampling  # neighbours of a word take no sample

        return sampling.sample_words(self, n, seed, band, keep)

    def ranks_to_sample(
        self,
        n: int,
        band: tuple[int, int] | None = None,
        keep: Callable[[str], bool] | None = None,
    ) -> tuple[int, int]:
        """First and last frequency rank that ``sample_words`` draws n words from."""
        from nplm_cli.vectors import sampling

        return sampling.ranks_to_sample(self, n, band, keep)


def _as_list(words: str | int | Iterable[str | int]) -> list[str | int]:
    return [words] if isinstance(words, str | int) else list(words)
