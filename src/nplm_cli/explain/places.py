"""The words that a prediction sees, and how far each moved it.

Nothing here needs torch: networks, counts and mixtures share it.
"""

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
    ranks; ``spearman`` compares the ranks of occlusion with those of each other figure.
    """
    rows: list[dict[str, Any]] = [
        {"word": place["word"], "id": place["id"], "place": number}
        for number, place in enumerate(places)
    ]
    for name, values in figures.items():
        ranks = iter(_ranks([value for value in values if value is not None]))
        for row, value in zip(rows, values, strict=True):
            row[name] = value
            row[f"{name}_rank"] = None if value is None else next(ranks)
    first, *others = figures
    return {
        "word": word["word"],
        "logprob_e": word["logprob_e"],
        "places": rows,
        "spearman": {name: _agreement(figures[first], figures[name]) for name in others},
    }


def _ranks(values: Sequence[float]) -> list[float]:
    ranks: list[float] = average_ranks(-np.abs(np.array(values))).tolist() if values else []
    return ranks


def _agreement(a: Sequence[float | None], b: Sequence[float | None]) -> float | None:
    pairs = [(abs(x), abs(y)) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    return spearman(*np.array(pairs).T) if pairs else None


def occlusion_by_reading(
    next_log_probs: Callable[[Sequence[int]], np.ndarray], history: Sequence[int], word: int
) -> list[float | None]:
    """Change of ln p of a word when each id of the history is ``<unk>``; None: it is already."""
    before = float(next_log_probs(history)[word])
    changes: list[float | None] = []
    for place, was in enumerate(history):
        if was == UNK_ID:
            changes.append(None)
            continue
        other = [*history[:place], UNK_ID, *history[place + 1 :]]
        changes.append(float(next_log_probs(other)[word]) - before)
    return changes
