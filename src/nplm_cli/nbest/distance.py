"""How wrong a hypothesis is: edit distance to its reference, in words or characters.

    wer    token edit distance / tokens of the references          (tokens: split at white space)
    cer    character edit distance / characters of the references  (white space left out)
    ser    share of the references that the hypothesis is not, token by token

The distance is Levenshtein's (1966): the fewest insertions, deletions and substitutions, each
counting 1. Errors and units are added up over the list before they are divided. Nothing is folded:
case and punctuation count. Shape suffixes: H hypotheses of a reference, L units of the longest, R
units of the reference.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from nplm_cli.errors import ConfigError, InputError

Metric = Literal["wer", "cer", "ser"]
METRICS: tuple[Metric, ...] = ("wer", "cer", "ser")

# Cells of the table that are filled at once.
CELLS = 1 << 20


class Errors(NamedTuple):
    """Errors of every hypothesis (int64), and the units of the references, once each."""

    metric: Metric
    errors: np.ndarray
    units: int


def count_errors(
    hypotheses: Sequence[str],
    groups: Sequence[tuple[int, int]],
    references: Sequence[str],
    metric: str,
) -> Errors:
    """Compare the hypotheses of each group with the group's reference.

    Raises ConfigError for an unknown metric, InputError when the references hold nothing.
    """
    for known in METRICS:
        if metric == known:
            break
    else:
        raise ConfigError(f"--metric {metric!r}: expected one of {', '.join(METRICS)}")
    errors = np.zeros(len(hypotheses), np.int64)
    units = 0
    for (begin, end), reference in zip(groups, references, strict=True):
        right = _units(reference, known)
        found = [_units(text, known) for text in hypotheses[begin:end]]
        if known == "ser":
            errors[begin:end] = [own != right for own in found]
            units += 1
        else:
            errors[begin:end] = edit_distances(found, right)
            units += len(right)
    if not units:
        raise InputError("the references are blank: there is no error rate without words")
    return Errors(known, errors, units)


def _units(text: str, metric: Metric) -> list[str]:
    return list("".join(text.split())) if metric == "cer" else text.split()


def edit_distances(hypotheses: Sequence[Sequence[str]], reference: Sequence[str]) -> np.ndarray:
    """Levenshtein distance (H,) of each hypothesis to the reference, many at once.

    Those of similar length go together, so that a long one among them does not pad all.
    """
    numbers = {unit: i for i, unit in enumerate(dict.fromkeys(reference))}
    reference_R = np.array([numbers[unit] for unit in reference], np.int64)
    distance_H = np.zeros(len(hypotheses), np.int64)
    order = sorted(range(len(hypotheses)), key=lambda i: len(hypotheses[i]))
    most = max(1, CELLS // (len(reference) + 1))
    while order:
        shortest = len(hypotheses[order[0]])
        batch = [i for i in order[:most] if len(hypotheses[i]) <= 2 * shortest + 8]
        distance_H[batch] = _together([hypotheses[i] for i in batch], numbers, reference_R)
        del order[: len(batch)]
    return distance_H


def _together(
    hypotheses: Sequence[Sequence[str]], numbers: dict[str, int], reference_R: np.ndarray
) -> np.ndarray:
    """Distances (H,) of hypotheses, the shortest first, as numbers of the reference's units.

    The table is filled row by row, a row a unit of the hypotheses; along a row, the cheapest way
    by insertions is a running minimum of d(j) - j.
    """
    lengths_H = np.array([len(own) for own in hypotheses], np.int64)
    units_HL = np.full((len(hypotheses), int(lengths_H[-1])), -1)
    for row, own in zip(units_HL, hypotheses, strict=True):
        row[: len(own)] = [numbers.get(unit, -1) for unit in own]
    columns = np.arange(len(reference_R) + 1)
    table_HR = np.tile(columns, (len(hypotheses), 1))
    distance_H = np.full(len(hypotheses), len(reference_R))
    ended = 0
    for at in range(units_HL.shape[1]):
        still = int(np.searchsorted(lengths_H, at, "right"))
        table_HR, ended = table_HR[still - ended :], still
        row_HR = table_HR + 1
        other_HR = units_HL[ended:, at, None] != reference_R
        np.minimum(row_HR[:, 1:], table_HR[:, :-1] + other_HR, out=row_HR[:, 1:])
        table_HR = np.minimum.accumulate(row_HR - columns, axis=1) + columns
        distance_H[ended:] = table_HR[:, -1]
    return distance_H
