"""An n-best list rescored: a model's log-probability of every hypothesis, and what to make of it.

Every hypothesis is a sentence on its own, whatever the model's context policy: the hypotheses of an
id are alternatives and no text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from nplm_cli.errors import ConfigError, InputError
from nplm_cli.events import OnEvent, Progress, ignore
from nplm_cli.nbest.distance import Errors
from nplm_cli.nbest.lists import NBest, is_integer
from nplm_cli.nbest.tuning import chosen, combined, errors_at, oracle, search
from nplm_cli.plain import counted
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import Scorer
from nplm_cli.query.sentences import SentenceReader, read_texts, score_pieces

# Hypotheses that are scored at once.
BATCH = 1_024


class Hypothesis(NamedTuple):
    """Natural log-probability of a hypothesis with its end, its words, the unknown among them."""

    logprob_e: float
    words: int
    oov: int


def score_hypotheses(
    run: Run,
    scorer: Scorer,
    texts: Sequence[str],
    reader: SentenceReader,
    on_event: OnEvent = ignore,
) -> list[Hypothesis]:
    """Score each text on its own; equal ones are scored once. A blank one is ``</s>`` alone.

    Where the reader splits a text into sentences, their figures are added up.
    """
    distinct = list(dict.fromkeys(texts))
    found: dict[str, Hypothesis] = {}
    for begin in range(0, len(distinct), BATCH):
        on_event(Progress("scoring", begin, len(distinct)))
        batch = distinct[begin : begin + BATCH]
        split = read_texts(run, batch, reader)
        scored = score_pieces(run, scorer, split, context="sentence")
        for text, sentences in zip(batch, scored, strict=True):
            found[text] = Hypothesis(
                math.fsum(sentence.logprob_e for sentence in sentences),
                sum(sentence.words for sentence in sentences),
                sum(sentence.oov for sentence in sentences),
            )
    on_event(Progress("scoring", len(distinct), len(distinct)))
    return [found[text] for text in texts]


@dataclass(frozen=True)
class Ranking:
    """Scores of a list in the unit asked for, the weight, and what it was tuned on.

    ``totals`` are the list's own, None where it has none; ``new_totals`` are theirs plus weight
    times score, None without a weight. ``report`` tells of references, None without them.
    """

    scores: np.ndarray
    totals: np.ndarray | None
    weight: float | None
    groups: list[tuple[int, int]]
    report: dict[str, Any] | None = field(default=None)

    @property
    def new_totals(self) -> np.ndarray | None:
        """The totals with the score in them."""
        if self.totals is None or self.weight is None:
            return None
        return combined(self.totals, self.scores, self.weight)

    def best(self) -> np.ndarray:
        """Place of the best entry of each id: by the new total, without one by the score."""
        values = self.new_totals
        return chosen(self.scores if values is None else values, self.groups)


def rank(
    nbest: NBest,
    scores: np.ndarray,
    *,
    weight: float | None = None,
    errors: Errors | None = None,
) -> Ranking:
    """Put scores and totals together; the ``errors`` tune a weight that is not given.

    Raises ConfigError for a weight without totals, InputError for totals that are there in part.
    """
    groups = nbest.groups()
    totals = None
    if nbest.has_totals:
        totals = np.array([entry.fields.total for entry in nbest.entries], np.float64)
    if weight is not None and totals is None:
        raise ConfigError(f"--weight {weight:g}: {nbest.text.name} has no totals to add to")
    if errors is None:
        return Ranking(scores, totals, weight, groups)
    report: dict[str, Any] = {"metric": errors.metric, "units": errors.units}
    if totals is None:
        # The list's own order is all there is to compare with.
        before = int(errors.errors[[begin for begin, _ in groups]].sum())
        after = int(errors.errors[chosen(scores, groups)].sum())
        report |= _rates(errors, before, after, oracle(errors, groups))
    elif weight is not None:
        before = errors_at(totals, scores, errors, groups, 0.0)
        after = errors_at(totals, scores, errors, groups, weight)
        report |= {"tuned": False} | _rates(errors, before, after, oracle(errors, groups))
    else:
        found = search(totals, scores, errors, groups)
        weight = found.weight
        report |= {"tuned": True, "interval": [found.low, found.high]}
        report |= {"intervals": found.intervals}
        report |= _rates(errors, found.before, found.after, found.oracle)
    return Ranking(scores, totals, weight, groups, report)


def _rates(errors: Errors, before: int, after: int, best: int) -> dict[str, Any]:
    return {
        name: {"errors": count, "rate": count / errors.units}
        for name, count in (("before", before), ("after", after), ("oracle", best))
    }


class References(NamedTuple):
    """The reference of each id.

    ``base`` is what lines were counted from (0 or 1) where id k took line k; None where each line
    is that of an id, in order.
    """

    texts: list[str]
    base: int | None


def references_of(
    nbest: NBest, lines: Sequence[str], name: str, *, allow_missing: bool = False
) -> References:
    """The reference of each id: a line an id, in order.

    With ``allow_missing`` there may be more lines than integer ids, and id k has line k: counted
    from 1 where the first id is 1, from 0 where it is 0. Where ids begin later they must end with
    the last line, counted from 1. Raises InputError where lines and ids do not fit or may fit in
    two ways.
    """
    ids = nbest.ids
    if len(lines) == len(ids):
        return References(list(lines), None)
    right, wanted = counted(len(lines), "reference"), counted(len(ids), "id")
    found = f"{name}: {right} for {wanted} of {nbest.text.name}"
    if len(lines) < len(ids) or not all(map(is_integer, ids)):
        raise InputError(f"{found}; expected a line an id, in the same order")
    if not allow_missing:
        raise InputError(
            f"{found}; expected a line an id, in the same order (--allow-missing: line k for id k)"
        )
    numbers = [int(own) for own in ids]
    first, last = numbers[0], numbers[-1]
    base = min(first, 1)
    if last - base >= len(lines):
        raise InputError(f"{found}; id {last}, counted from {base}, has no line")
    if first > 1 and last < len(lines):
        raise InputError(
            f"{found}; ids begin with {first}, so line k may be counted from 0 or from 1: give the "
            "references of these ids alone"
        )
    return References([lines[own - base] for own in numbers], base)
