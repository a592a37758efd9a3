"""First weights that come from outside the random generator: a text's counts, a file's vectors."""

import math

import numpy as np
import torch

from nplm_cli import events
from nplm_cli.artifacts import sha256_of_file
from nplm_cli.corpus.shards import count_ids
from nplm_cli.errors import ConfigError, InputError
from nplm_cli.models.base import LanguageModel
from nplm_cli.query.run import Run
from nplm_cli.vectors.counted import count_vectors
from nplm_cli.vectors.pretrained import initial_rows


def from_counts(model: LanguageModel, ids_N: np.ndarray, seed: int) -> None:
    """Let word vectors and output biases begin with what a text says of the words.

    Vectors are those of ``count_vectors``, as long as random ones would be; words without a
    neighbour keep their random vector. Biases are log frequencies, so that the first guess is the
    unigram model.
    """
    words, dim = model.embedding.weight.shape
    vectors_RD = count_vectors(ids_N, words, dim, seed)
    rows_R = np.flatnonzero(vectors_RD.any(axis=1))
    length = model.embedding.deviation * math.sqrt(dim) * model.config.init_scale
    with torch.no_grad():
        table = torch.from_numpy(vectors_RD[rows_R] * np.float32(length))
        model.embedding.weight[torch.from_numpy(rows_R), : table.shape[1]] = table
        counts_V = np.maximum(count_ids(ids_N, words), 1)
        model.output.start_at(torch.from_numpy(np.log(counts_V / counts_V.sum())))


def from_file(network: LanguageModel, run: Run, on_event: events.OnEvent = events.ignore) -> None:
    """Take the vectors that the file ``--vectors`` has; the other words keep theirs.

    Raises ConfigError where the file's dimension is another one, InputError where it has changed
    since the run was made.
    """
    path = run.config.model.vectors
    assert path is not None
    rows, vectors, coverage = initial_rows(path, run.vocabulary.tokens)
    recorded = run.record.get("vectors_sha256")  # which older runs lack
    if recorded is not None and recorded != sha256_of_file(path):
        raise InputError(
            f"{path}: the vectors have changed since this training began: restore the file, or "
            "start anew with --force"
        )
    if vectors.shape[1] != run.config.model.dim:
        raise ConfigError(
            f"{path} has vectors of {vectors.shape[1]} dimensions, --dim is "
            f"{run.config.model.dim}: give --dim {vectors.shape[1]}"
        )
    with torch.no_grad():
        network.embedding.weight[torch.from_numpy(np.asarray(rows))] = torch.from_numpy(vectors)
    counts = run.vocabulary.counts
    share = counts[rows].sum() / max(counts[2:].sum(), 1)
    on_event(
        events.Message(
            f"{path}: vectors for {coverage.found:,} of {coverage.total:,} words "
            f"({share:.1%} of the known training tokens); the others start at random"
        )
    )
