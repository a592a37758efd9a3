"""Window models as text files of ISI's nplm (Vaswani, Zhao, Fossum & Chiang 2013), as Moses reads.

Their network: with e(u) a row of the input embeddings and f the one activation function,

    h1 = f(W1 [e(u1) ... e(u_{n-1})] + b1)      num_hidden
    h2 = f(W2 h1 + b2)                          output_embedding_dimension
    p(w | u1 ... u_{n-1}) = softmax(D h2 + b)

``u1`` is the oldest word; before a sentence stand n - 1 ``<s>``. What maps onto it:

- two hidden layers of tanh or relu: as they are;
- one hidden layer: W2 of relu is the identity, for relu(relu(x)) = relu(x); W2 of tanh is a
  millionth of it and D is a million times ours, for tanh(x) = x (1 - x^2 / 3 + ...) differs from
  x by less than 1e-12 of it there;
- ``--combine sum`` and ``mean``: W1 has the same block for each word (mean: divided by n - 1);
- a tied output layer with a projection P: D = E P.

Shape suffixes: V words, H units, D the width of what the output layer reads.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from nplm_cli.artifacts import TensorFile
from nplm_cli.atomic import atomic_write
from nplm_cli.config import ModelConfig
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.errors import ConfigError
from nplm_cli.interchange.words import check_words
from nplm_cli.query.layers import Weights

START = "<s>"
SMALL = 1e-6
ACTIVATIONS = {"tanh": "tanh", "relu": "rectifier"}
BLOCK_NUMBERS = 1 << 16

OnDone = Callable[[int], None]


class TwoLayers(NamedTuple):
    """Weights in their topology, float64: e (V + 1, dim), W1, b1, W2, b2, D, b."""

    ngram_size: int
    activation: str
    embeddings: np.ndarray
    first: np.ndarray
    first_bias: np.ndarray
    second: np.ndarray
    second_bias: np.ndarray
    output: np.ndarray
    output_bias: np.ndarray

    @property
    def numbers(self) -> int:
        """How many weights there are."""
        return sum(array.size for array in self[2:])


def two_layers(weights: TensorFile | Weights, config: ModelConfig) -> TwoLayers:
    """Weights of a window model in their topology; ``<s>`` is the last row of the embeddings.

    Raises ConfigError, naming the setting and what would do, for a model that does not map.
    """
    config = config.resolved()
    check_topology(config)
    words_VE = np.asarray(weights["embedding.weight"], np.float64)
    window, hidden = config.order - 1, config.hidden
    first = np.asarray(weights["encoder.layers.0.weight"], np.float64)
    if config.combine != "concat":
        first = np.tile(first / (window if config.combine == "mean" else 1), window)
    output = words_VE if config.tie else np.asarray(weights["output.weight"], np.float64)
    if "encoder.projection.weight" in weights:
        output = output @ np.asarray(weights["encoder.projection.weight"], np.float64)
    if config.layers == 2:
        second = np.asarray(weights["encoder.layers.1.weight"], np.float64)
    else:
        scale = SMALL if config.activation == "tanh" else 1.0
        second, output = scale * np.eye(hidden), output / scale
    return TwoLayers(
        config.order,
        ACTIVATIONS[config.activation or "tanh"],
        np.concatenate([words_VE, words_VE[EOS_ID : EOS_ID + 1]]),
        first,
        _bias(weights, "encoder.layers.0.bias", hidden),
        second,
        _bias(weights, "encoder.layers.1.bias", hidden),
        output,
        _bias(weights, "output.bias", len(words_VE)),
    )


def _bias(weights: TensorFile | Weights, name: str, size: int) -> np.ndarray:
    return np.asarray(weights[name], np.float64) if name in weights else np.zeros(size)


def check_topology(config: ModelConfig) -> None:
    """Raise ConfigError for a model that is not theirs, with the options of one that is."""
    cure = "nplm's format holds --arch ffn --layers 1 or 2 --activation tanh or relu"
    if config.arch != "ffn":
        raise ConfigError(f"--arch {config.arch}: {cure}")
    faults = {
        f"--layers {config.layers}": config.layers not in (1, 2),
        f"--activation {config.activation}": config.activation not in ACTIVATIONS,
        f"--far {config.far}": config.far > 0,
        "--gate": config.gate,
        "--residual": config.residual and _adds(config),
        f"--norm {config.norm}": config.norm != "none",
        f"--softmax {config.softmax}": config.softmax != "full",
    }
    found = [name for name, wrong in faults.items() if wrong]
    if found:
        raise ConfigError(
            f"{' '.join(found)}: {cure}, without --far, --gate, --residual, --norm and "
            "--softmax adaptive; train such a model, or export to --format arpa"
        )


def _adds(config: ModelConfig) -> bool:
    """Whether some layer's input is added to its output."""
    vectors = config.order - 1 if config.combine == "concat" else 1
    return config.layers > 1 or vectors * config.dim == config.hidden


def save_isi(
    path: Path, model: TwoLayers, tokens: Sequence[str], on_done: OnDone = lambda done: None
) -> None:
    """Write a model atomically; ``on_done`` gets the number of weights written.

    Raises ConfigError, before a byte is written, for a word that the format cannot hold.
    """
    check_words(tokens, "nplm")
    with atomic_write(path) as file:
        write_isi(file, model, tokens, on_done)


def write_isi(
    file: IO[bytes], model: TwoLayers, tokens: Sequence[str], on_done: OnDone = lambda done: None
) -> None:
    """Write to an open binary file.

    The ids of the output vocabulary are those of the input vocabulary, which has ``<s>`` besides,
    so that readers with one vocabulary for both find the right rows.
    """
    sizes = {
        "version": 1,
        "ngram_size": model.ngram_size,
        "input_vocab_size": len(tokens) + 1,
        "output_vocab_size": len(tokens),
        "input_embedding_dimension": model.embeddings.shape[1],
        "num_hidden": len(model.first),
        "output_embedding_dimension": len(model.second),
        "activation_function": model.activation,
    }
    _section(file, "config", (f"{name} {value}" for name, value in sizes.items()))
    _section(file, "input_vocab", [*tokens, START])
    _section(file, "output_vocab", tokens)
    matrices = {
        "input_embeddings": model.embeddings,
        "hidden_weights 1": model.first,
        "hidden_biases 1": model.first_bias[:, None],
        "hidden_weights 2": model.second,
        "hidden_biases 2": model.second_bias[:, None],
        "output_weights": model.output,
        "output_biases": model.output_bias[:, None],
    }
    done = 0
    for name, matrix in matrices.items():
        file.write(f"\\{name}\n".encode())
        rows = max(1, BLOCK_NUMBERS // matrix.shape[1])
        line = "\t".join(["%.9g"] * matrix.shape[1]) + "\n"
        for start in range(0, len(matrix), rows):
            block = matrix[start : start + rows]
            file.write((line * len(block) % tuple(block.ravel().tolist())).encode())
            done += block.size
            on_done(done)
        file.write(b"\n")
    file.write(b"\\end\n")


def _section(file: IO[bytes], name: str, lines: Iterable[str]) -> None:
    file.write(f"\\{name}\n".encode())
    file.writelines(f"{line}\n".encode() for line in lines)
    file.write(b"\n")
