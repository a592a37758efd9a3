"""Right checksums beside damaged files: so that what comes after the check of them is reached."""

import json
from pathlib import Path
from typing import Any

from nplm_cli import artifacts
from nplm_cli.errors import ArtifactError
from nplm_cli.query.components import COMPONENTS, fingerprint

# Bytes of a start of a sentence or file.
_START = 8


def seal(path: Path) -> None:
    """Let the files that hold a checksum of ``path`` (of a run) say what it is now.

    The index of ids tells their number, too. Does nothing where that file cannot be read.
    """
    try:
        if path.parent.name == "data":
            _seal_ids(path)
        elif path.name == "vocabulary.tsv":
            _seal_vocabulary(path)
        if path.parent.parent.name == COMPONENTS:
            _seal_component(path.parent)
    except (ArtifactError, OSError, KeyError, IndexError, TypeError, ValueError):  # is damaged too
        return


def _seal_ids(path: Path) -> None:
    if path.suffix not in (".ids", ".sentences", ".files"):
        return
    place = path.with_name("index.json")
    index = _read(place)
    index["sha256"][path.name] = artifacts.sha256_of_file(path)
    counts, size = index["parts"][path.stem], path.stat().st_size
    if path.suffix == ".ids":
        counts["predictions"] = size // (2 if index["dtype"] == "uint16" else 4)
    elif path.suffix == ".sentences":
        counts["sentences"] = max(0, size // _START - 1)
    _write(place, index)


def _seal_vocabulary(path: Path) -> None:
    place = path.with_name("config.json")
    record = _read(place)
    if "vocabulary_sha256" in record["data"]:
        record["data"]["vocabulary_sha256"] = artifacts.sha256_of_file(path)
    _write(place, record)


def _seal_component(folder: Path) -> None:
    place = folder.parents[1] / "config.json"
    record = _read(place)
    component = record["mixture"]["components"][int(folder.name) - 1]
    component["sha256"] = fingerprint(folder)
    _write(place, record)


def _read(path: Path) -> Any:
    return artifacts.read_json(path)


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
