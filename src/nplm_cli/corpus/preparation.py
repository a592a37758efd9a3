"""Text to ids: read once, split by documents, cut the vocabulary, write the parts.

What is left in the folder is all that training needs: ``vocabulary.tsv``, ``unknown.tsv``,
``tokenizer.json`` and ``data/`` with the ids of each part.
"""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nplm_cli import events
from nplm_cli.artifacts import sha256_of_file
from nplm_cli.config import Config
from nplm_cli.corpus import shards
from nplm_cli.corpus.first_pass import TokenStore, count_tokens, new_types
from nplm_cli.corpus.formats import CorpusReader, TextRecipe, read_sentences
from nplm_cli.corpus.readers import list_files
from nplm_cli.corpus.split import MIN_DOCUMENTS, split_sentences
from nplm_cli.corpus.vocabulary import SPECIALS, Cut, cut_vocabulary, save_unknown
from nplm_cli.errors import ArtifactError, ConfigError, InputError
from nplm_cli.opening import open_regular

DATA_FOLDER = "data"
# Units of the split that are pieces of a running text.
PIECES = ("block", "line")


@dataclass(frozen=True)
class Sources:
    """Inputs of the parts; without ``valid`` or ``test`` they are split off the training text."""

    train: tuple[str, ...]
    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def by_part(self) -> dict[shards.PartName, tuple[str, ...]]:
        """Inputs of each part that has its own."""
        return {n: i for n in shards.PARTS if (i := getattr(self, n))}


@dataclass(frozen=True)
class Prepared:
    """What came out: the cut, the counts of the parts, and the record for config.json."""

    cut: Cut
    parts: dict[str, dict[str, int]]
    record: dict[str, Any]


def prepare(
    folder: Path,
    sources: Sources,
    config: Config,
    on_event: events.OnEvent = events.ignore,
    workers: int | None = 1,
) -> Prepared:
    """Read the sources and write the parts into ``folder``, which must exist.

    ``workers`` processes cut raw text (None: as many as is worth it), with the same result.

    Raises InputError for unreadable or empty input, ConfigError when the text is too small for
    the split that was asked for.
    """
    if sum(inputs.count("-") for inputs in sources.by_part().values()) > 1:
        raise ConfigError("'-' (standard input) can be read only once")
    data = folder / DATA_FOLDER
    data.mkdir()
    types = new_types()
    stores: dict[str, TokenStore] = {}
    inputs_record: dict[str, Any] = {}
    recipe: TextRecipe | None = None
    notes: list[str] = []  # on the text
    for name, inputs in sources.by_part().items():
        digest = hashlib.sha256()
        store = TokenStore(data, f"{name}.first-pass", types)
        reader = _reading(inputs, config, recipe, digest, on_event, workers)
        with contextlib.closing(reader):
            if reader.in_blocks:
                taken = store.read_blocks(reader.blocks(), reader.kernels)
            else:
                taken = store.read(reader)
            for tokens in taken:
                on_event(events.Progress(f"reading {name}", tokens, None, f"{tokens:,} tokens"))
        recipe = recipe or reader.recipe
        notes += reader.counts.replaced_files
        stores[name] = store
        inputs_record[name] = {
            "inputs": [i if i == "-" else os.path.abspath(i) for i in inputs],
            "sha256": digest.hexdigest(),
            **{k: v for k, v in asdict(reader.counts).items() if isinstance(v, int)},
        }
    assert recipe is not None
    parts_S, unit = _split(stores, sources, config, on_event)
    counts = count_tokens(stores["train"], parts_S["train"], 0)
    names = list(types)
    by_word = {names[i]: int(counts[i]) for i in np.flatnonzero(counts) if names[i] != SPECIALS[1]}
    sentences = int(np.count_nonzero(parts_S["train"] == 0))
    cut = cut_vocabulary(by_word, sentences, config.vocabulary)
    for note in cut.notes:
        on_event(events.Message(note, warning=True))

    table = np.array(cut.vocabulary.encode(names), shards.ids_dtype(len(cut.vocabulary)))
    # <unk> in the text is not a word of five characters, </s> none at all.
    characters = np.array([0 if n in SPECIALS else len(n) for n in names], np.int64)
    parts: dict[str, dict[str, int]] = {}
    for name in shards.PARTS:
        own = name if name in stores else "train"
        if own != name and not np.any(parts_S["train"] == shards.PARTS.index(name)):
            continue
        parts[name] = shards.write_part(data, name, stores[own], parts_S[own], table, characters)
    for store in stores.values():
        store.remove()
    shards.write_index(data, len(cut.vocabulary), parts)
    cut.vocabulary.save(folder / "vocabulary.tsv")
    save_unknown(folder / "unknown.tsv", cut.unknown)
    recipe.save(folder / "tokenizer.json")
    dictionaries = config.corpus.user_dict if recipe.user_words else ()
    return Prepared(
        cut,
        parts,
        {
            "sources": inputs_record,
            **({"user_dict": _dictionaries_record(dictionaries)} if dictionaries else {}),
            "split_unit": unit,
            "parts": parts,
            "vocabulary_size": len(cut.vocabulary),
            "vocabulary_sha256": sha256_of_file(folder / "vocabulary.tsv"),
            "unk_types": cut.unk_types,
            "unk_reason": cut.unk_reason,
            "notes": [*notes, *cut.notes],
        },
    )


def _reading(
    inputs: Sequence[str],
    config: Config,
    recipe: TextRecipe | None,
    digest: Any,
    on_event: events.OnEvent,
    workers: int | None,
) -> CorpusReader:
    return read_sentences(
        inputs,
        config.corpus,
        recipe=recipe,
        digest=digest,
        on_event=lambda text: on_event(events.message(text)),
        workers=workers,
    )


def _dictionaries_record(paths: Sequence[str]) -> dict[str, Any]:
    """What tells later whether the dictionaries are what they were."""
    return {"inputs": [os.path.abspath(path) for path in paths], "sha256": sha256_of_texts(paths)}


def sha256_of_texts(inputs: Sequence[str]) -> str:
    """Hexadecimal SHA-256 of all bytes of files and folders; raises InputError, naming the file."""
    digest = hashlib.sha256()
    for path in list_files(inputs):
        try:
            with open_regular(path) as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from error
    return digest.hexdigest()


def _split(
    stores: dict[str, TokenStore],
    sources: Sources,
    config: Config,
    on_event: events.OnEvent,
) -> tuple[dict[str, np.ndarray], str]:
    """Part number of each sentence of each store; explicit files win over the split."""
    changes: dict[str, float] = {}
    if sources.valid:
        changes["valid_share"] = 0.0
    if sources.test:
        changes["test_share"] = 0.0
    if sources.valid and not sources.test:
        # A user who brings the validation text means the whole training text to be trained on.
        changes["test_share"] = 0.0
    split = config.replace(**changes).split
    parts_S, unit = split_sentences(stores["train"].units, split)
    if config.training.context == "stream" and split.split_by == "hash" and unit in PIECES:
        # Lines drawn here and there would be a running text that nobody wrote.
        parts_S, unit = split_sentences(
            stores["train"].units, dataclasses.replace(split, split_by="order")
        )
        on_event(
            events.Message(
                f"--context stream with fewer than {MIN_DOCUMENTS} documents: the last {unit}s in "
                "file order validate and test, so that each part is one text"
            )
        )
    result = {"train": parts_S}
    for name in ("valid", "test"):
        if name in stores:
            number = shards.PARTS.index(name)
            result[name] = np.full(stores[name].sentences, number, np.uint8)
    return result, unit


def check_sources(record: dict[str, Any]) -> list[str]:
    """Compare the inputs of a run with what they were; returns those that are gone.

    Raises InputError when the bytes of a text or dictionary have changed since the run was
    prepared, ArtifactError when ``record`` is not what ``prepare`` made. Only files and folders
    are read: another's record may name a pipe or a device.
    """
    gone = []
    for name, source in _recorded(record):
        inputs = source["inputs"]
        if "-" in inputs:
            continue
        missing = [i for i in inputs if not (os.path.isfile(i) or os.path.isdir(i))]
        if missing:
            gone += missing
            continue
        if sha256_of_texts(inputs) != source["sha256"]:
            raise InputError(
                f"{', '.join(inputs)}: the {name} has changed since this training began: "
                "restore it, or start anew with --force"
            )
    return gone


def _recorded(record: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The sources that a run records, checked: what each is, its inputs with their checksum."""
    sources = record.get("sources", {})
    if not isinstance(sources, dict):
        raise ArtifactError("config.json: its sources are not what nplm train writes")
    recorded = [(f"{name} text", source) for name, source in sources.items()]
    if "user_dict" in record:
        recorded.append(("user dictionary", record["user_dict"]))
    if not all(_is_source(source) for _, source in recorded):
        raise ArtifactError("config.json: its sources are not what nplm train writes")
    return recorded


def _is_source(source: object) -> bool:
    if not isinstance(source, dict) or not isinstance(source.get("sha256"), str):
        return False
    inputs = source.get("inputs")
    return isinstance(inputs, list) and all(
        isinstance(path, str) and path and "\0" not in path for path in inputs
    )
