"""Weights and counts of a run: whether they are those that its vocabulary and settings ask for."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nplm_cli.artifacts import TensorFile
from nplm_cli.config import ModelConfig
from nplm_cli.errors import ArtifactError
from nplm_cli.query import FORWARD

if TYPE_CHECKING:
    from nplm_cli.ngram import NgramModel


def check_weights(weights: TensorFile, model: ModelConfig, vocabulary_size: int) -> None:
    """Raise ArtifactError unless names, shapes and types are those that a network asks for.

    ``model`` has its settings resolved.
    """
    expected = FORWARD[model.arch].expected_shapes(model, vocabulary_size)
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
