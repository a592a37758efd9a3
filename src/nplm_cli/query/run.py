"""A finished (or interrupted) run directory, opened for questions."""

import dataclasses
import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nplm_cli.artifacts import (
    TensorFile,
    check_format,
    is_count,
    is_figure,
    read_json,
    sha256_of_file,
)
from nplm_cli.config import Config
from nplm_cli.corpus.vocabulary import EOS_ID, UNK_ID, Vocabulary, load_unknown
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.opening import check_inside, names_in
from nplm_cli.placement import RUN_FILES, bring_back
from nplm_cli.query import FORWARD
from nplm_cli.query.components import CURE, check_fingerprint, component_folder

if TYPE_CHECKING:
    from nplm_cli.config import MixtureConfig
    from nplm_cli.corpus.recipe import TextRecipe
    from nplm_cli.evaluation.ledger import UnknownTypes
    from nplm_cli.ngram import NgramModel
    from nplm_cli.vectors.keyed import KeyedVectors

# What config.json says of each part of the text.
PART_COUNTS = ("sentences", "words", "predictions", "oov", "characters")


def _is_record(record: dict[str, Any]) -> bool:
    """Whether the parts of config.json that are no settings have the right types."""
    data, environment = record.get("data"), record.get("environment")
    if not isinstance(data, dict) or not isinstance(environment, dict):
        return False
    types, parts, threads = data.get("unk_types"), data.get("parts"), environment.get("threads")
    if not isinstance(parts, dict) or not (type(threads) is int and 0 < threads < 10_000):
        return False
    return (types is None or (is_count(types) and types > 0)) and all(
        isinstance(counts, dict) and all(is_count(counts.get(k)) for k in PART_COUNTS)
        for counts in parts.values()
    )


def is_report(report: object) -> bool:
    """Whether what others read of a report.json is there, in the right types."""
    if not isinstance(report, dict) or not {"training", "valid", "test"} <= set(report):
        return False
    training = report["training"]
    if not isinstance(training, dict):
        return False
    for key in ("seconds", "tokens"):
        if training.get(key) is not None and not is_figure(training[key]):
            return False
    return all(report[name] is None or _is_ledger(report[name]) for name in ("valid", "test"))


def _is_ledger(ledger: object) -> bool:
    """Whether the figures that are read of a stored ledger are there."""
    if not isinstance(ledger, dict) or not {"ppl", "baselines"} <= set(ledger):
        return False
    figures, baselines = [ledger["ppl"]], ledger["baselines"]
    if baselines is not None:
        if not isinstance(baselines, dict) or not isinstance(baselines.get("kneser_ney"), dict):
            return False
        figures.append(baselines["kneser_ney"].get("ppl", ""))
    return all(figure is None or is_figure(figure) for figure in figures)


class Run:
    """Files of a run directory, each read when it is first asked for.

    Raises ArtifactError, naming the file, when one is missing, damaged or of a newer format.
    """

    def __init__(self, folder: Path | str, *, component: bool = False):
        """Open a run; a ``component`` of a mixture is only ever where nplm mix has put it."""
        self.folder = Path(folder)
        if not component:
            bring_back(self.folder)
        if not self.folder.is_dir():
            found = "not a directory" if self.folder.exists() else "no such directory"
            raise ArtifactError(f"{folder}: {found}: expected a run that nplm train wrote")
        if not (self.folder / "config.json").is_file():
            raise ArtifactError(f"{folder}: no config.json: not a run directory of nplm train")
        # None of what nplm writes may lead elsewhere.
        check_inside(self.folder, (*RUN_FILES, *names_in(self.folder, "data")))

    @cached_property
    def record(self) -> dict[str, Any]:
        """Everything in config.json: settings, data, environment."""
        path = self.folder / "config.json"
        record = read_json(path)
        if not isinstance(record, dict):
            raise ArtifactError(f"{path}: expected an object")
        check_format(path, record.get("format_version"))
        if "homework" in record:
            runs = [p.parent for p in sorted(self.folder.glob("*/*-*/config.json"))]
            names = ", ".join(str(run.relative_to(self.folder)) for run in runs)
            raise ArtifactError(f"{self.folder} is a homework; its runs are {names or 'gone'}")
        if not _is_record(record):
            raise ArtifactError(f"{path}: its data or environment is not what nplm train writes")
        return record

    @cached_property
    def mixture(self) -> "MixtureConfig | None":
        """Components, caches and their weights; None of a single model."""
        if "mixture" not in self.record:
            return None
        from nplm_cli.config import MixtureConfig

        try:
            return MixtureConfig.from_json(
                self.record["mixture"], f"{self.folder / 'config.json'}: mixture"
            )
        except ConfigError as error:
            raise ArtifactError(f"{error}; {CURE}") from error

    @cached_property
    def components(self) -> "list[Run]":
        """The models of a mixture; of any other run the run itself."""
        if self.mixture is None:
            return [self]
        found = []
        for number, recorded in enumerate(self.mixture.components, 1):
            run = Run(component_folder(self.folder, number), component=True)
            if run.mixture is not None:
                raise ArtifactError(f"{run.folder}: a mixture within a mixture: {CURE}")
            if run.vocabulary.tokens != self.vocabulary.tokens:
                raise ArtifactError(f"{run.folder}: not the vocabulary of {self.folder}: {CURE}")
            check_fingerprint(run.folder, recorded.sha256)
            found.append(run)
        return found

    def require_single(self, *, counts: bool = False) -> None:
        """Raise ArtifactError, naming a component to ask instead, when this is a mixture.

        That is the first network, or (``counts``) the first count model, if there is one.
        """
        if self.mixture is not None:
            fitting = [run for run in self.components if run.config.model.neural != counts]
            best = (fitting or self.components)[0]
            raise ArtifactError(
                f"{self.folder} is a mixture and has no {'counts' if counts else 'weights'} of "
                f"its own: ask its component {best.folder} ({best.arch})"
            )

    def require_trainable(self) -> None:
        """Raise ArtifactError unless a training can go on here: no mixture, its text still there.

        The components of a mixture have none.
        """
        if self.mixture is not None:
            runs = ", ".join(component.run for component in self.mixture.components)
            raise ArtifactError(
                f"{self.folder} is a mixture and cannot be trained on: go on with one of its runs "
                f"({runs}) and mix again"
            )
        if not (self.folder / "data").is_dir():
            raise ArtifactError(
                f"{self.folder}: its text is gone (no data folder), as in components of a mixture: "
                "go on with the run itself, or train anew with nplm train TEXT --config "
                f"{self.folder / 'config.json'}"
            )

    def check_vocabulary(self) -> None:
        """Raise ArtifactError when the words are no longer those that the stored ids stand for."""
        path = self._present("vocabulary.tsv")
        if self.record["data"].get("vocabulary_sha256") not in (None, sha256_of_file(path)):
            raise ArtifactError(
                f"{path}: changed since the training began, so that ids stand for other words: "
                "restore it, or train anew (--force)"
            )

    @property
    def arch(self) -> str:
        """Architecture of the model, or ``mixture``."""
        return self.config.model.arch if self.mixture is None else "mixture"

    @cached_property
    def config(self) -> Config:
        """Return the settings of all stages, none of them open (older files lack newer keys).

        Of a mixture: those of its first component, under the mixture's context policy.
        """
        if self.mixture is not None:
            return self.components[0].config.replace(context=self.mixture.context)
        path = self.folder / "config.json"
        try:
            config = Config.from_json(self.record.get("settings"), str(path))
            return dataclasses.replace(config, model=config.model.resolved())
        except ConfigError as error:
            raise ArtifactError(str(error)) from error

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens by id; raises ArtifactError when they are not those of the training."""
        self.check_vocabulary()
        return Vocabulary.load(self._present("vocabulary.tsv"))

    @cached_property
    def recipe(self) -> "TextRecipe":
        """How raw text became tokens."""
        from nplm_cli.corpus.recipe import TextRecipe

        return TextRecipe.load(self._present("tokenizer.json"))

    def spelled(self, word: str) -> str:
        """A word of a question as the vocabulary has it, or would have it."""
        return word if word in self.vocabulary else self.recipe.spelled(word)

    def _present(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            raise ArtifactError(f"{path}: no such file: restore it, or train or mix again")
        return path

    @cached_property
    def unknown_counts(self) -> dict[str, int]:
        """Training counts of the words that the cut left out."""
        return load_unknown(self.folder / "unknown.tsv")

    @cached_property
    def unknown_types(self) -> "UnknownTypes":
        """How many types ``<unk>`` stands for."""
        from nplm_cli.evaluation.ledger import UnknownTypes

        data = self.record.get("data", {})
        return UnknownTypes(data.get("unk_types"), data.get("unk_reason"))

    @property
    def weights_path(self) -> Path:
        """The file of the weights or counts; raises ArtifactError before there is one."""
        path = self.folder / "model.safetensors"
        if not path.exists():
            raise ArtifactError(
                f"{path}: no weights yet: finish the training with nplm train --resume "
                f"-o {self.folder}"
            )
        return path

    @cached_property
    def weights(self) -> TensorFile:
        """The model's tensors, memory-mapped."""
        self.require_single()
        weights = TensorFile(self.weights_path)
        if self.config.model.neural:
            self._check_shapes(weights)
        return weights

    @property
    def parameters(self) -> int | None:
        """How many numbers the weights are; None of counts."""
        if self.mixture is not None:
            return sum(run.parameters or 0 for run in self.components) or None
        if not self.config.model.neural:
            return None
        return sum(math.prod(self.weights.shape(name)) for name in self.weights)

    def _check_shapes(self, weights: TensorFile) -> None:
        """Names and shapes are those that config.json and vocabulary.tsv ask for."""
        model = self.config.model
        expected = FORWARD[model.arch].expected_shapes(model, len(self.vocabulary))
        for name in sorted(set(expected) | set(weights.keys())):
            found = weights.shape(name) if name in weights else None
            if found != expected.get(name):
                raise ArtifactError(
                    f"{weights.path}: {name} has shape {found}, config.json and vocabulary.tsv "
                    f"ask for {expected.get(name)}: not the weights of this run"
                )
            if weights.dtype(name) != np.float32:
                raise ArtifactError(
                    f"{weights.path}: {name} holds {weights.dtype(name)}: expected float32"
                )

    @cached_property
    def baseline(self) -> "NgramModel | None":
        """The Kneser-Ney model that every report compares with; None when there is none."""
        path = self.folder / "baseline.safetensors"
        if not path.exists():
            return None
        return open_ngram(path, len(self.vocabulary))

    def keyed_vectors(self, *, output: bool = False) -> "KeyedVectors":
        """Word vectors of the embedding, or (``output``) the rows of the output matrix."""
        from nplm_cli.vectors.keyed import KeyedVectors

        self.require_single()
        if not self.config.model.neural:
            raise ArtifactError(
                f"{self.folder}: an n-gram count model has no word vectors; "
                "train --arch ffn or another network for them"
            )
        name = "embedding.weight"
        if output and not self.config.model.tie:
            if len(self.config.model.softmax_bounds(len(self.vocabulary))) > 1:
                raise ArtifactError(
                    f"{self.folder}: the output rows of an adaptive softmax are of several widths: "
                    "ask for the word vectors"
                )
            name = "output.weight"
        return KeyedVectors(
            self.vocabulary.tokens,
            self.weights[name],
            self.vocabulary.counts,
            skip=(UNK_ID, EOS_ID),
        )

    def report(self) -> dict[str, Any] | None:
        """The final ledger, if the training got that far."""
        path = self.folder / "report.json"
        if not path.exists():
            return None
        report = read_json(path)
        if not is_report(report):
            raise ArtifactError(f"{path}: not a report of nplm train; restore it or train again")
        return report


def open_ngram(path: Path, vocabulary_size: int) -> "NgramModel":
    """Open n-gram tables; raises ArtifactError when they are for another vocabulary."""
    from nplm_cli.ngram import NgramModel

    file = TensorFile(path)
    try:
        model = NgramModel.from_tensors({name: file[name] for name in file}, file.metadata)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error
    if model.vocab_size != vocabulary_size:
        raise ArtifactError(
            f"{path}: counts over {model.vocab_size} words, vocabulary.tsv has {vocabulary_size}"
        )
    return model
