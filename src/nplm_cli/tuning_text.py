"""Whether a text may fit a mixture: words that are known, and nothing that was trained on.

A model is too sure of what it was trained on, so weights that were fitted there are wrong for every
other text. Shape suffixes: N tokens, S sentences.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nplm_cli import events
from nplm_cli.artifacts import read_json
from nplm_cli.corpus.preparation import DATA_FOLDER, sha256_of_texts
from nplm_cli.corpus.readers import STDIN, list_files
from nplm_cli.corpus.shards import COUNT_BLOCK, Part, open_parts
from nplm_cli.errors import ArtifactError
from nplm_cli.evaluation.ledger import OOV_WARNING_SHARE
from nplm_cli.query.run import Run

# From this share of known sentences on a text counts as seen.
SEEN_SHARE = 0.5
# Shorter sentences ("yes .") stand in many a text.
LONG = 5
# Odd constants of splitmix64 (Steele, Lea & Flood 2014), which mix well.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_READING = "checking the training texts"


def text_digest(inputs: Sequence[str]) -> str | None:
    """SHA-256 of all bytes of a text, as runs record it; None of what can be read only once."""
    if STDIN in inputs:
        return None
    paths = list_files(inputs)
    if not all(os.path.isfile(path) for path in paths):  # a pipe
        return None
    return sha256_of_texts(inputs)


def doubts(
    runs: Sequence[Run],
    inputs: Sequence[str],
    digest: str | None,
    part: Part,
    on_event: events.OnEvent = events.ignore,
) -> Iterator[str]:
    """What speaks against fitting a mixture of ``runs`` on a text, a line each.

    ``digest`` is the text's (``text_digest``), ``part`` its ids. The training texts are read; one
    that is damaged is a doubt, no error.
    """
    text = ", ".join(inputs)
    trained = [run for run in runs if _is_source(run, "train", inputs, digest)]
    if trained:
        yield (
            f"{_names(trained)}: trained on {text}: the weights are fitted on what "
            "the model has seen; take another text"
        )
    tested = [run for run in runs if _is_source(run, "test", inputs, digest)]
    if tested:
        yield (
            f"{_names(tested)}: {text} is the test text: the mixture is no longer to be measured "
            "on it"
        )
    hashes_S = _sentence_hashes(part)
    others = [run for run in runs if run not in trained] if len(hashes_S) else []
    seen: dict[str, float] = {}
    for run, found in zip(others, _seen_shares(others, hashes_S, on_event), strict=True):
        if isinstance(found, ArtifactError):
            yield f"{run.folder}: its training text cannot be read: not checked ({found})"
        elif found >= SEEN_SHARE:
            seen[str(run.folder)] = found
    if seen:
        yield (
            f"{', '.join(seen)}: trained on a text where {max(seen.values()):.0%} of the longer "
            f"sentences of {text} stand: take another text"
        )
    share = part.oov() / part.words if part.words else 0.0
    if share > OOV_WARNING_SHARE:
        yield (
            f"{share:.1%} of the words of {text} are unknown: the weights go by who predicts "
            "<unk> best; take a text of the kind the runs were trained on"
        )


def was_tuned_on(run: Run, digest: str | None) -> bool:
    """Whether a run is a mixture whose weights were fitted on the text of this digest."""
    tune = run.record.get("tune")
    return digest is not None and isinstance(tune, dict) and tune.get("sha256") == digest


def _names(runs: Sequence[Run]) -> str:
    return ", ".join(str(run.folder) for run in runs)


def _is_source(run: Run, name: str, inputs: Sequence[str], digest: str | None) -> bool:
    """Whether a text is the run's own text of that name, by its bytes, or one of its files."""
    sources: Any = run.record["data"].get("sources")
    source = sources.get(name) if isinstance(sources, dict) else None
    if not isinstance(source, dict):
        return False
    if digest is not None and source.get("sha256") == digest:
        return True
    named = [path for path in source.get("inputs") or () if isinstance(path, str)]
    own = {Path(path).resolve() for path in named if path != STDIN}
    given = [Path(path).resolve() for path in inputs if path != STDIN]
    return any(path in own or not own.isdisjoint(path.parents) for path in given)


def _seen_shares(
    runs: Sequence[Run], hashes_S: np.ndarray, on_event: events.OnEvent
) -> list[float | ArtifactError]:
    """Of each run ``_seen_share``, or why that cannot be told; a text of several is read once."""
    shares: list[float | ArtifactError] = []
    known: dict[str, float] = {}
    for number, run in enumerate(runs):

        def tell(share: float, number: int = number, name: str = str(run.folder)) -> None:
            on_event(events.Progress(_READING, number + share, len(runs), name))

        tell(0.0)
        folder = run.folder / DATA_FOLDER
        try:
            checksum = _checksum(folder) if folder.is_dir() else ""
            if checksum not in known:
                known[checksum] = _seen_share(folder, hashes_S, tell) if checksum else 0.0
            shares.append(known[checksum])
        except ArtifactError as error:
            shares.append(error)
    if runs:
        on_event(events.Progress(_READING, len(runs), len(runs)))
    return shares


def _checksum(folder: Path) -> str:
    """The checksum of the training text that the index of its folder has; "" where it has none."""
    index = read_json(folder / "index.json")
    sums = index.get("sha256") if isinstance(index, dict) else None
    if not isinstance(sums, dict):
        raise ArtifactError(f"{folder / 'index.json'}: no checksums")
    return str(sums.get("train.ids", ""))


def _seen_share(folder: Path, hashes_S: np.ndarray, tell: Callable[[float], None]) -> float:
    """Which share of the sentences stand in a run's training text; ``tell`` how much is read."""
    train = open_parts(folder).get("train")
    if train is None:
        return 0.0
    starts = train.starts
    bounded = train.sentences > 0 and starts[0] == 0 and starts[-1] == train.predictions
    if not bounded or not np.all(np.diff(starts) > 0):
        raise ArtifactError(f"{folder / 'train.sentences'}: not where sentences begin: damaged")
    seen_S = np.zeros(len(hashes_S), bool)
    begin = 0
    while begin < train.sentences:
        end = int(np.searchsorted(train.starts, train.starts[begin] + COUNT_BLOCK, "right")) - 1
        end = max(end, begin + 1)
        first = int(train.starts[begin])
        piece = Part(
            train.ids_N[first : int(train.starts[end])],
            np.asarray(train.starts[begin : end + 1]) - first,
            train.file_starts[:0],
            0,
        )
        seen_S |= np.isin(hashes_S, _sentence_hashes(piece))
        begin = end
        tell(int(train.starts[end]) / train.predictions)
    return float(seen_S.mean())


def _sentence_hashes(part: Part) -> np.ndarray:
    """A number of 64 bits for the ids of each sentence that is not short, in their order."""
    starts = np.asarray(part.starts, np.int64)
    lengths = np.diff(starts)
    if not len(lengths):
        return np.zeros(0, np.uint64)
    place_N = np.arange(part.predictions) - np.repeat(starts[:-1], lengths)
    mixed_N = (np.asarray(part.ids_N, np.uint64) + np.uint64(1)) * _GOLDEN
    mixed_N = (mixed_N ^ (mixed_N >> np.uint64(31))) + place_N.astype(np.uint64) * _MIX
    mixed_N = (mixed_N ^ (mixed_N >> np.uint64(27))) * _MIX
    return np.add.reduceat(mixed_N ^ (mixed_N >> np.uint64(31)), starts[:-1])[lengths > LONG]
