"""A network as a back-off n-gram model: its own probabilities, averaged over a text.

P(hw) is the mean of the network's p(w | ...) over the places of the text where h was just read
(Adel, Kirchhoff, Vu, Telaar & Schultz 2014, "Comparing approaches to convert recurrent neural
networks into backoff language models", probability-based conversion; for a window model whose
window is h the mean of equal figures). Of shorter histories every longer history counts once, as
in Kneser-Ney: they are asked where the longer one was not seen. What the network says of n-grams
that the text lacks is lost; counts know better how much to leave for them, so P(hw) is mixed with
interpolated Kneser-Ney of the same text. Back-off weights make each history sum to 1.

Shape suffixes: R rows (places in the order of their histories), G groups of rows with the same
history, V vocabulary, N n-grams of one order.
"""

import numpy as np

from nplm_cli import events
from nplm_cli.corpus.shards import Part, beginning
from nplm_cli.errors import ConfigError
from nplm_cli.interchange.backoff import NOTHING, BackoffModel, count_model, normalised
from nplm_cli.interchange.histories import Histories, sort_histories
from nplm_cli.interchange.states import open_states, probabilities
from nplm_cli.ngram.trie import Trie
from nplm_cli.query.scorer import NeuralScorer

BLOCK_NUMBERS = 4_000_000
MAX_TOKENS = 20_000_000
WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


def from_network(
    scorer: NeuralScorer,
    text: Part,
    *,
    order: int,
    min_count: int = 1,
    weight: float | None = 1.0,
    valid: Part | None = None,
    on_event: events.OnEvent = events.ignore,
) -> tuple[BackoffModel, float]:
    """Average a network over a text and mix it with counts; the model, and the network's weight.

    N-grams that the text has ``min_count`` times are listed; P(hw) is ``weight`` of the network's
    mean and the rest of Kneser-Ney. ``weight`` None: the one of WEIGHTS that predicts ``valid``
    best (1 without one). Of a text of more than 20 million tokens the first sentences are taken,
    and told. Memory grows with the n-grams, not with the vocabulary times the histories.

    Raises ConfigError for an order below 1 or a text without a sentence.
    """
    if order < 1:
        raise ConfigError(f"--order {order}: expected at least 1")
    if not text.predictions:
        raise ConfigError("a text without a sentence: there is no history to ask the network about")
    if text.predictions > MAX_TOKENS:
        text = beginning(text, MAX_TOKENS)
        on_event(events.Message(f"n-grams of the first {text.predictions:,} tokens alone"))
    size = len(scorer.weights["embedding.weight"])
    counts = count_model(text.ids_N, order=order, vocab_size=size, min_count=min_count)
    means = average(scorer, text, counts.trie, on_event)
    if weight is not None or valid is None:
        weight = 1.0 if weight is None else weight
        return _mixed(counts, means, weight), weight
    best = (np.inf, counts, 0.0)
    for number, tried in enumerate(WEIGHTS):
        on_event(events.Progress("weighing network and counts", number, len(WEIGHTS)))
        model = _mixed(counts, means, tried)
        nats = -float(model.log_probs(valid.ids_N).mean())
        best = min(best, (nats, model, tried), key=lambda found: found[0])
    return best[1], best[2]


def _mixed(counts: BackoffModel, means: list[np.ndarray], weight: float) -> BackoffModel:
    """Weigh the listed probabilities of a network and of counts."""
    pairs = zip(means, counts.log_p[1:], strict=True)
    mixed = [weight * mean_N + (1 - weight) * np.exp(log_p_N) for mean_N, log_p_N in pairs]
    return normalised(counts.trie, [NOTHING, *mixed])


def average(
    scorer: NeuralScorer, text: Part, trie: Trie, on_event: events.OnEvent = events.ignore
) -> list[np.ndarray]:
    """Means of a network's probabilities for the n-grams of a trie, (N,) by order from 1."""
    seen = None if scorer.order is None else scorer.order - 1
    histories = sort_histories(text.ids_N, trie, seen=seen)

    def reading(done: int) -> None:
        on_event(events.Progress("reading the text", done, text.predictions))

    states = open_states(scorer, text, reading)
    levels = [_Level(trie, histories, length) for length in range(trie.order)]
    total = len(histories.places_R)
    step = max(1, BLOCK_NUMBERS // trie.vocab_size)
    for start in range(0, total, step):
        rows = np.arange(start, min(start + step, total))
        p_GV = probabilities(scorer, states.at(histories.places_R[rows]))
        weights_G = histories.weights_R[rows]
        for level in reversed(levels):
            p_GV, rows = level.add(p_GV, weights_G, rows)
            weights_G = np.ones(len(rows))
        done = min(start + step, total)
        on_event(events.Progress("averaging the network", done, total))
    _finish(levels)
    return [level.p_N for level in levels]


def _finish(levels: "list[_Level]") -> None:
    """Close what is open, the longest histories first."""
    p_GV, rows = levels[-1].close()
    for level in reversed(levels[:-1]):
        more_GV, more = level.add(p_GV, np.ones(len(rows)), rows)
        last_GV, last = level.close()
        p_GV, rows = np.concatenate([more_GV, last_GV]), np.append(more, last)


class _Level:
    """Means over the histories of one length, in their order; the last one stays open.

    ``p_N`` is what came of it: the probability of each n-gram that is one word longer.
    """

    def __init__(self, trie: Trie, histories: Histories, length: int):
        self.keys_N = trie.tables[length + 1].keys_N
        self.size = trie.vocab_size
        self.p_N = np.zeros(len(self.keys_N) if length else self.size)
        self.new_R, self.nodes_R = histories.new[length], histories.nodes[length]
        self.sum_V, self.weight, self.row = np.zeros(self.size), 0.0, -1

    def add(
        self, p_GV: np.ndarray, weights_G: np.ndarray, rows_G: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take in distributions, each with its first row; returns the means that are complete.

        They come with their first rows, too.
        """
        if not len(rows_G):
            return p_GV, rows_G
        new_G = self.new_R[rows_G]
        starts = np.flatnonzero(new_G | (np.arange(len(rows_G)) == 0))
        rows, totals = rows_G[starts], weights_G
        if len(starts) < len(rows_G):
            weighted_GV = p_GV * weights_G[:, None].astype(np.float32)
            p_GV = np.add.reduceat(weighted_GV, starts, axis=0)
            totals = np.add.reduceat(weights_G, starts)
            p_GV /= totals[:, None].astype(np.float32)
        if self.row >= 0 and new_G[0]:
            p_GV = np.concatenate([self._mean(), p_GV])
            rows, totals = np.append(self.row, rows), np.append(self.weight, totals)
        elif self.row >= 0:
            self.sum_V += p_GV[0] * totals[0]
            self.weight += totals[0]
            rows = np.append(self.row, rows[1:])
            if len(rows) > 1:
                p_GV[0] = self._mean()[0]
            else:
                return p_GV[:0], rows[:0]
        self.sum_V, self.weight = p_GV[-1] * np.float64(totals[-1]), float(totals[-1])
        self.row = int(rows[-1])
        self._keep(p_GV[:-1], rows[:-1])
        return p_GV[:-1], rows[:-1]

    def close(self) -> tuple[np.ndarray, np.ndarray]:
        """Complete the history that is open."""
        mean, rows = self._mean(), np.array([self.row])
        self._keep(mean, rows)
        return mean, rows

    def _mean(self) -> np.ndarray:
        return (self.sum_V / self.weight).astype(np.float32)[None]

    def _keep(self, p_GV: np.ndarray, rows_G: np.ndarray) -> None:
        """Note the probabilities of the n-grams that begin with these histories."""
        if len(self.keys_N) == 0:
            if len(self.p_N) and len(rows_G):
                self.p_N[:] = p_GV[0]
            return
        nodes_G = self.nodes_R[rows_G]
        listed = np.flatnonzero(nodes_G >= 0)
        first_key = nodes_G[listed] * self.size
        begins = np.searchsorted(self.keys_N, first_key)
        counts = np.searchsorted(self.keys_N, first_key + self.size) - begins
        group = np.repeat(np.arange(len(listed)), counts)
        at = np.arange(len(group)) + np.repeat(begins - (np.cumsum(counts) - counts), counts)
        self.p_N[at] = p_GV[listed[group], self.keys_N[at] - first_key[group]]
