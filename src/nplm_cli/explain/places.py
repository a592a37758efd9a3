"""The words that a prediction sees, and how far each moved it.

Nothing here needs torch: networks, counts and mixtures share it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nplm_cli.corpus.vocabulary import UNK_ID
from nplm_cli.query.run import Run
from nplm_cli.vectors.ratings import average_ranks, spearman


def place_records(run: Run, tokens: Sequence[str | None], ids: Sequence[int]) -> list[dict]:
    """Records of places in sight: the token as it was typed (None: as the vocabulary has it)."""
    names = run.vocabulary.tokens
    return [
        {
            "word": names[i] if token is None else token,
            "id": i,
            "unknown": token is not None and token not in run.vocabulary.index,
        }
        for token, i in zip(tokens, ids, strict=True)
    ]


def attributed(
    word: dict[str, Any], places: Sequence[dict[str, Any]], figures: dict[str, list[float | None]]
) -> dict[str, Any]:
    """Figures of the places (names to a list each) for one word that is predicted.

    Each figure is also ranked by its size, the largest first, equal ones sharing the mean of their
    ranks; what is None or infinite has no rank. ``spearman`` compares the ranks of occlusion
    with those of each other figure.
    """
    rows: list[dict[str, Any]] = [
        {"word": place["word"], "id": place["id"], "place": number}
        for number, place in enumerate(places)
    ]
    for name, values in figures.items():
        ranks = iter(_ranks([value for value in values if _ranked(value)]))
        for row, value in zip(rows, values, strict=True):
            row[name] = value
            row[f"{name}_rank"] = next(ranks) if _ranked(value) else None
    first, *others = figures
    return {
        "word": word["word"],
        "logprob_e": word["logprob_e"],
        "places": rows,
        "spearman": {name: _agreement(figures[first], figures[name]) for name in others},
    }


def _ranked(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _ranks(values: Sequence[float | None]) -> list[float]:
    ranks: list[float] = average_ranks(-np.abs(np.array(values))).tolist() if values else []
    return ranks


def _agreement(a: Sequence[float | None], b: Sequence[float | None]) -> float | None:
    both = [pair for pair in zip(a, b, strict=True) if all(map(_ranked, pair))]
    return spearman(*np.abs(np.array(both, np.float64)).T) if both else None


def occlusion_by_reading(
    next_log_probs: Callable[[Sequence[int]], np.ndarray],
    history: Sequence[int],
    words: Sequence[int],
) -> list[list[float | None]]:
    """Changes of ln p of each word when each id of the history is ``<unk>``, a list per word.

    None where the id is ``<unk>`` already and where p is 0 both before and after; infinite where
    p is 0 on one side alone: inf where the change makes the word possible, -inf where impossible.
    """
    ids = list(words)
    before = next_log_probs(history)[ids]
    changes: list[list[float | None]] = [[] for _ in ids]
    for place, was in enumerate(history):
        if was == UNK_ID:
            moved = np.full(len(ids), np.nan)
        else:
            after = next_log_probs([*history[:place], UNK_ID, *history[place + 1 :]])[ids]
            with np.errstate(invalid="ignore"):  # -inf less -inf: p is 0 both times
                moved = after - before
        for found, change in zip(changes, moved.tolist(), strict=True):
            found.append(None if math.isnan(change) else change)
    return changes
