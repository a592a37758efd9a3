"""A finished (or interrupted) run directory, opened for questions."""

import dataclasses
import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nplm_cli.artifacts import TensorFile, check_format, read_json, sha256_of_file
from nplm_cli.config import Config
from nplm_cli.corpus.vocabulary import EOS_ID, UNK_ID, Vocabulary, load_unknown
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.opening import check_inside, names_in
from nplm_cli.placement import RUN_FILES, bring_back
from nplm_cli.query.components import CURE, check_fingerprint, component_folder
from nplm_cli.query.records import is_record, is_report
from nplm_cli.query.stored_models import check_weights, open_ngram

if TYPE_CHECKING:
    from nplm_cli.config import MixtureConfig
    from nplm_cli.corpus.recipe import TextRecipe
    from nplm_cli.evaluation.ledger import UnknownTypes
    from nplm_cli.ngram import NgramModel
    from nplm_cli.vectors.keyed import KeyedVectors


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
        if not is_record(record):
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
            check_weights(weights, self.config.model, len(self.vocabulary))
        return weights

    @property
    def parameters(self) -> int | None:
        """How many numbers the weights are; None of counts."""
        if self.mixture is not None:
            return sum(run.parameters or 0 for run in self.components) or None
        if not self.config.model.neural:
            return None
        return sum(math.prod(self.weights.shape(name)) for name in self.weights)

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
