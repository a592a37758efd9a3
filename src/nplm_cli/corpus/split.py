"""Which sentences train, validate and test: by whole documents, never by windows."""

import numpy as np

from nplm_cli.config import SplitConfig
from nplm_cli.errors import ConfigError

# A split by documents needs enough of them that 5 % is at least one.
MIN_DOCUMENTS = 20


def split_sentences(units: np.ndarray, config: SplitConfig) -> tuple[np.ndarray, str]:
    """Part of each sentence (0 train, 1 valid, 2 test) and the unit that was kept together.

    Units are documents (article or file); where there are fewer than 20, blank-line blocks;
    then lines. ``hash`` sends a unit to the part that its own text decides, so that the same
    text lands on the same side in every run. Raises ConfigError when a part that was asked for
    would stay empty.
    """
    sentences = len(units)
    parts_S = np.zeros(sentences, np.uint8)
    if config.split_by == "none" or config.valid_share == config.test_share == 0:
        return parts_S, "none"
    unit = ""
    for column, unit in enumerate(("document", "block", "line")):  # noqa: B007
        # A unit's number may come again in the next file: file and number together name it.
        changed = np.any(units[1:, [3, column]] != units[:-1, [3, column]], axis=1)
        first = np.concatenate([[0], np.flatnonzero(changed) + 1])[:sentences]
        if len(first) >= MIN_DOCUMENTS:
            break
    asked = [share > 0 for share in (config.valid_share, config.test_share)]
    if len(first) < 1 + sum(asked):
        raise ConfigError(
            f"a text of {len(first)} {unit}{'s' if len(first) != 1 else ''} cannot be split into "
            "training and validation: give --valid FILE, or --split-by none to train on all"
        )
    lengths = np.diff(np.append(first, sentences))
    if config.split_by == "order":
        cumulative = np.cumsum(lengths) / sentences
        middles = cumulative - lengths / (2 * sentences)
        parts_U = np.select(
            [middles > 1 - config.test_share, middles > 1 - config.test_share - config.valid_share],
            [2, 1],
            0,
        )
        keys = -np.arange(len(first), dtype=np.float64)
    else:
        positions = np.arange(sentences, dtype=np.uint64) - np.repeat(
            first.astype(np.uint64), lengths
        )
        odd = positions * np.uint64(2) + np.uint64(1)  # so that the order of sentences matters
        keys = _mixed(np.add.reduceat(units[:, 4] * odd, first)) / 2.0**64
        parts_U = np.select(
            [keys < config.test_share, keys < config.test_share + config.valid_share], [2, 1], 0
        )
    # A small text may leave a part empty by chance: give it the unit that came nearest.
    order = np.argsort(keys, kind="stable")
    for part, wanted in ((2, asked[1]), (1, asked[0])):
        if wanted and not np.any(parts_U == part):
            # Where chance left nothing for training either, the fullest part gives.
            fullest = int(np.argmax(np.bincount(parts_U, minlength=3)))
            giver = 0 if np.any(parts_U == 0) else fullest
            parts_U[next(u for u in order if parts_U[u] == giver)] = part
    if not np.any(parts_U == 0):
        raise ConfigError("the split leaves nothing to train on: lower --valid-share, --test-share")
    return np.repeat(parts_U.astype(np.uint8), lengths), unit


def _mixed(values: np.ndarray) -> np.ndarray:
    """Finaliser of splitmix64 (Steele et al. 2014): every input bit moves every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
