"""Which sentences train, validate and test: by whole documents, never by windows."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nplm_cli.config import SplitConfig
from nplm_cli.errors import ConfigError

# A split by documents needs enough of them that 5 % is at least one.
MIN_DOCUMENTS = 20
# Sentences that are looked at together, or a unit, if it is larger.
BLOCK_SENTENCES = 1 << 20
# Columns of a sentence's unit: document, block, line, file, hash of the text.
_UNITS = ("document", "block", "line")
_FILE, _HASH = 3, 4


class _Block(NamedTuple):
    """Successive units: ``end`` of the last one's sentences; of each unit its number of sentences,
    the part that it falls to, and a key: the lower, the nearer was it to the parts beside training.
    """

    end: int
    lengths_U: np.ndarray
    parts_U: np.ndarray
    keys_U: np.ndarray


def split_sentences(units: np.ndarray, config: SplitConfig) -> tuple[np.ndarray, str]:
    """Part of each sentence (0 train, 1 valid, 2 test) and the unit that was kept together.

    Units are documents (article or file); where there are fewer than 20, blank-line blocks;
    then lines. ``hash`` sends a unit to the part that its own text decides, so that the same
    text lands on the same side in every run. Beside the result, of a byte a sentence, memory is
    that of a block or of the largest unit. Raises ConfigError when a part that was asked for
    would stay empty.
    """
    parts_S = np.zeros(len(units), np.uint8)
    if config.split_by == "none" or config.valid_share == config.test_share == 0:
        return parts_S, "none"
    column, count = _unit(units)
    unit = _UNITS[column]
    asked = [(2, config.test_share > 0), (1, config.valid_share > 0)]
    needed = [0, *(part for part, wanted in asked if wanted)]
    if count < len(needed):
        raise ConfigError(
            f"a text of {count} {unit}{'s' if count != 1 else ''} cannot be split into "
            "training and validation: give --valid FILE, or --split-by none to train on all"
        )
    seen = np.zeros(3, np.int64)
    begin = 0
    for block in _blocks(units, column, config):
        parts_S[begin : block.end] = np.repeat(block.parts_U, block.lengths_U)
        begin = block.end
        seen += np.bincount(block.parts_U, minlength=3)
    if not seen[needed].all():
        _fill(parts_S, list(_blocks(units, column, config)), needed[1:])
    return parts_S, unit


def _unit(units: np.ndarray) -> tuple[int, int]:
    """The column of the largest unit of which there are enough, and how many there are, if few."""
    for column in range(len(_UNITS)):
        count = min(1, len(units))
        for begin in range(0, len(units), BLOCK_SENTENCES):
            count += int(np.count_nonzero(_changed(units, column, begin, BLOCK_SENTENCES)))
            if count >= MIN_DOCUMENTS:
                return column, count
    return column, count


def _changed(units: np.ndarray, column: int, begin: int, size: int) -> np.ndarray:
    """Whether a new unit begins with sentence begin + 1, ... begin + size, as far as there are."""
    # A unit's number may come again in the next file: file and number together name it.
    names = units[begin : begin + size + 1][:, [_FILE, column]]
    return np.any(names[1:] != names[:-1], axis=1)


def _firsts(units: np.ndarray, column: int) -> Iterator[tuple[np.ndarray, int]]:
    """The first sentences of successive whole units, and where the sentences of these end."""
    begin, size = 0, BLOCK_SENTENCES
    while begin < len(units):
        end = min(begin + size, len(units))
        changed = _changed(units, column, begin, end - begin)
        firsts = begin + np.concatenate([[0], np.flatnonzero(changed) + 1])
        if end < len(units):
            if len(firsts) == 1:  # the unit goes on: look at more of it
                size *= 2
                continue
            end, firsts = int(firsts[-1]), firsts[:-1]
        yield firsts, end
        begin, size = end, BLOCK_SENTENCES


def _blocks(units: np.ndarray, column: int, config: SplitConfig) -> Iterator[_Block]:
    sentences = len(units)
    number = 0
    for firsts, end in _firsts(units, column):
        lengths = np.diff(np.append(firsts, end))
        if config.split_by == "order":
            middles = (firsts + lengths) / sentences - lengths / (2 * sentences)
            last, next_to_last = 1 - config.test_share, 1 - config.test_share - config.valid_share
            parts = np.select([middles > last, middles > next_to_last], [2, 1], 0)
            keys = -np.arange(number, number + len(firsts), dtype=np.float64)
            number += len(firsts)
        else:
            begin = int(firsts[0])
            positions = np.arange(begin, end) - np.repeat(firsts, lengths)
            odd = positions.astype(np.uint64) * np.uint64(2) + np.uint64(1)  # order matters
            sums = np.add.reduceat(units[begin:end, _HASH] * odd, firsts - begin)
            keys = _mixed(sums) / 2.0**64
            parts = np.select(
                [keys < config.test_share, keys < config.test_share + config.valid_share], [2, 1], 0
            )
        yield _Block(end, lengths, parts.astype(np.uint8), keys)


def _fill(parts_S: np.ndarray, blocks: list[_Block], wanted: list[int]) -> None:
    """Give the parts that chance left empty, as it may in a small text, the unit nearest to each.

    Raises ConfigError where nothing is left to train on.
    """
    parts_U = np.concatenate([block.parts_U for block in blocks])
    lengths_U = np.concatenate([block.lengths_U for block in blocks])
    order = np.argsort(np.concatenate([block.keys_U for block in blocks]), kind="stable")
    for part in wanted:
        if not np.any(parts_U == part):
            # Where chance left nothing for training either, the fullest part gives.
            fullest = int(np.argmax(np.bincount(parts_U, minlength=3)))
            giver = 0 if np.any(parts_U == 0) else fullest
            parts_U[next(u for u in order if parts_U[u] == giver)] = part
    if not np.any(parts_U == 0):
        raise ConfigError("the split leaves nothing to train on: lower --valid-share, --test-share")
    parts_S[:] = np.repeat(parts_U, lengths_U)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Finaliser of splitmix64 (Steele et al. 2014): every input bit moves every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
