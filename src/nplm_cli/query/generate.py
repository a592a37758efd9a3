"""Text drawn from a model, word by word: ancestral sampling, temperature, top-k, nucleus, greedy.

Each sample has random numbers of its own and its own place in batches of a fixed size, so that
sample i is the same text however many are asked for. Shape suffixes: B rows, V vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.vocabulary import EOS_ID, UNK_ID, Vocabulary
from nplm_cli.errors import ConfigError
from nplm_cli.query.predict import surprisal_bits
from nplm_cli.query.scorer import Scorer

# Rows of a batch, whether they are needed or not: a matrix product of another shape rounds
# otherwise, and a sum of V probabilities is enough to turn that into another word.
ROWS = 16
# A set whose mass is short of p by rounding alone has reached it.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Sampling:
    """How the next word is chosen from a model's distribution.

    Steps, in this order: ``<unk>`` is left out (unless ``unk``), log-probabilities are divided by
    ``temperature``, the ``top_k`` most probable words are kept, of these the nucleus: the fewest
    most probable words whose mass reaches ``top_p``, the word that crosses it kept (Holtzman et
    al. 2020); what is left is made to sum to 1. Ties go by id. ``greedy`` takes the most probable
    word instead. Raises ConfigError for values that choose nothing.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    greedy: bool = False
    unk: bool = False

    def __post_init__(self) -> None:
        """Refuse values outside their bounds."""
        if not 0 < self.temperature < math.inf:
            cure = "; --greedy takes the most probable word" if self.temperature == 0 else ""
            raise ConfigError(f"--temperature {self.temperature:g}: expected a number > 0{cure}")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"--top-k {self.top_k}: expected at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(f"--top-p {self.top_p:g}: expected a share above 0 and at most 1")
        changed = (self.temperature != 1, self.top_k is not None, self.top_p is not None)
        if self.greedy and any(changed):
            raise ConfigError(
                "--greedy takes the most probable word: leave out --temperature, --top-k, --top-p"
            )

    def distribution(self, log_p_V: np.ndarray) -> np.ndarray:
        """Probabilities (V,), float64, that a word is drawn with.

        All 0 where the model leaves no mass to any word that may be drawn.
        """
        z_V = np.array(log_p_V, np.float64)
        if not self.unk:
            z_V[UNK_ID] = -np.inf
        top = z_V.max()
        if top == -np.inf:
            return np.zeros(len(z_V))
        if self.greedy:
            p_V = np.zeros(len(z_V))
            p_V[z_V.argmax()] = 1
            return p_V
        with np.errstate(over="ignore"):  # a tiny temperature: -inf is meant
            p_V = np.exp((z_V - top) / self.temperature)
        p_V /= p_V.sum()
        if self.top_k is None and (self.top_p is None or self.top_p == 1):
            return p_V
        best = np.argsort(-p_V, kind="stable")[: self.top_k]
        if self.top_p is not None and self.top_p < 1:
            mass = np.cumsum(p_V[best])
            best = best[: 1 + np.count_nonzero(mass / mass[-1] < self.top_p - ROUNDING)]
        kept_V = np.zeros(len(p_V))
        kept_V[best] = p_V[best] / p_V[best].sum()
        return kept_V


class GeneratedToken(NamedTuple):
    """A token that was drawn and what the model itself gives it, before temperature and cuts."""

    token: str
    id: int
    probability: float
    surprisal_bits: float


@dataclass(frozen=True)
class Sample:
    """Tokens drawn after the prompt, ``</s>`` last when it was reached.

    ``stuck`` tells that no word could follow: relative frequencies after an unseen context, or
    all mass on an ``<unk>`` that may not be drawn.
    """

    tokens: list[GeneratedToken]
    stuck: bool = False

    @property
    def finished(self) -> bool:
        """Whether the end of the sentence was reached."""
        return bool(self.tokens) and self.tokens[-1].id == EOS_ID

    @property
    def words(self) -> list[str]:
        """The words that were drawn, without ``</s>``."""
        return [token.token for token in self.tokens if token.id != EOS_ID]


def generate(
    scorer: Scorer,
    vocabulary: Vocabulary,
    history: Sequence[int] = (),
    samples: int = 1,
    *,
    sampling: Sampling | None = None,
    max_length: int = 100,
    seed: int = 1,
) -> Iterator[Sample]:
    """Go on from the first ids of a sentence until ``</s>`` or ``max_length`` tokens, it included.

    Samples come in order, each as soon as it is complete; sample i of a seed does not depend on
    ``samples``. Raises ConfigError for values out of bounds.
    """
    if samples < 1:
        raise ConfigError(f"--samples {samples}: expected at least 1")
    if max_length < 1:
        raise ConfigError(f"--max-length {max_length}: expected at least 1")
    if seed < 0:
        raise ConfigError(f"--seed {seed}: expected at least 0")
    sampling = sampling or Sampling()
    if sampling.greedy and samples > 1:
        raise ConfigError(f"--greedy gives one text: {samples} samples would be the same")
    return _samples(scorer, vocabulary, history, samples, sampling, max_length, seed)


def _samples(
    scorer: Scorer,
    vocabulary: Vocabulary,
    history: Sequence[int],
    samples: int,
    sampling: Sampling,
    max_length: int,
    seed: int,
) -> Iterator[Sample]:
    start_BV, start = scorer.begin(history, ROWS)
    for first in range(0, samples, ROWS):
        drawn: list[list[GeneratedToken]] = [[] for _ in range(min(ROWS, samples - first))]
        random = [_random(seed, first + row) for row in range(len(drawn))]
        done: dict[int, Sample] = {}
        shown = 0
        log_p_BV, state = start_BV, start
        while shown < len(drawn):
            ids_B = np.full(ROWS, EOS_ID)
            for row, tokens in enumerate(drawn):
                if row in done:
                    continue
                i = _draw(sampling.distribution(log_p_BV[row]), random[row])
                if i is not None:
                    log_p = float(log_p_BV[row, i])
                    tokens.append(
                        GeneratedToken(
                            vocabulary.tokens[i], i, math.exp(log_p), surprisal_bits(log_p)
                        )
                    )
                    ids_B[row] = i
                if i is None or i == EOS_ID or len(tokens) == max_length:
                    done[row] = Sample(tokens, stuck=i is None)
            while shown in done:
                yield done[shown]
                shown += 1
            if shown < len(drawn):
                log_p_BV, state = scorer.advance(ids_B, state)


def _random(seed: int, sample: int) -> np.random.Generator:
    """The generator of one sample: child number ``sample`` of the seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(sample,)))


def _draw(p_V: np.ndarray, random: np.random.Generator) -> int | None:
    """Draw an id; None when there is no mass. A word of probability 0 is never drawn."""
    mass_V = np.cumsum(p_V)
    if not mass_V[-1]:
        return None
    return int(np.searchsorted(mass_V, random.random() * mass_V[-1], side="right"))


def join_words(words: Sequence[str], recipe: TextRecipe) -> str:
    """Put words together as the training text had them: with spaces, raw Chinese without."""
    glued = recipe.format == "raw" and recipe.lang in ("zh", "char")
    return ("" if glued else " ").join(words)
