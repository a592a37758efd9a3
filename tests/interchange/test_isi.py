"""ISI nplm's text format, read back by a reader written from its definition."""

import numpy as np
import pytest

from nplm_cli.corpus.batches import scoring_batches
from nplm_cli.errors import ConfigError
from nplm_cli.interchange.isi import save_isi, two_layers

ACTIVATIONS = {"tanh": np.tanh, "rectifier": lambda x: np.maximum(x, 0.0)}


class Isi:
    """Sections end at an empty line; matrices are rows of numbers, biases a number a row."""

    def __init__(self, path):
        sections, name = {}, None
        for line in path.read_text("utf-8").split("\n"):
            if name is None and line.startswith("\\"):
                name = line[1:]
                sections[name] = []
            elif line == "":
                name = None
            else:
                sections[name].append(line)
        assert sections.pop("end") == []
        self.config = dict(line.split(" ") for line in sections.pop("config"))
        assert self.config["version"] == "1"
        self.words = sections.pop("input_vocab")
        self.outputs = sections.pop("output_vocab")
        self.arrays = {
            name: np.array([[float(x) for x in row.split("\t")] for row in rows])
            for name, rows in sections.items()
        }

    def number(self, name):
        return int(self.config[name])

    def log_probs(self, sentence):
        """Natural log-probabilities of words and ``</s>``, n - 1 ``<s>`` before them."""
        a, n = self.arrays, self.number("ngram_size")
        f = ACTIVATIONS[self.config["activation_function"]]
        padded = ["<s>"] * (n - 1) + sentence
        found = []
        for i, word in enumerate(sentence):
            ids = [self.words.index(w) for w in padded[i : i + n - 1]]
            e = a["input_embeddings"][ids].ravel()
            h = f(a["hidden_weights 1"] @ e + a["hidden_biases 1"][:, 0])
            h = f(a["hidden_weights 2"] @ h + a["hidden_biases 2"][:, 0])
            z = a["output_weights"] @ h + a["output_biases"][:, 0]
            found.append(z[self.outputs.index(word)] - np.log(np.exp(z).sum()))
        return found


@pytest.mark.parametrize(
    "settings",
    [
        {"layers": 2},
        {"layers": 1},
        {"layers": 2, "activation": "relu"},
        {"layers": 1, "activation": "relu"},
        {"layers": 1, "tie": True},
        {"layers": 2, "tie": True, "output_bias": False},
        {"layers": 2, "tie": True, "dim": 6},
        {"combine": "sum", "order": 4},
        {"combine": "mean", "order": 4, "layers": 2},
        {"hidden_bias": False, "layers": 2, "activation": "relu"},
        {"residual": True, "layers": 1},
    ],
    ids=str,
)
def test_the_same_scores(network, text, tokens, tmp_path, settings):
    scorer = network(**settings)
    save_isi(tmp_path / "m.nplm", two_layers(scorer.weights, scorer.config), tokens)
    read = Isi(tmp_path / "m.nplm")
    assert (read.words, read.outputs) == ([*tokens, "<s>"], tokens)
    shapes = {name: array.shape for name, array in read.arrays.items()}
    window, first, second = (
        read.number("ngram_size") - 1,
        read.number("num_hidden"),
        read.number("output_embedding_dimension"),
    )
    dim = read.number("input_embedding_dimension")
    assert shapes == {
        "input_embeddings": (read.number("input_vocab_size"), dim),
        "hidden_weights 1": (first, window * dim),
        "hidden_biases 1": (first, 1),
        "hidden_weights 2": (second, first),
        "hidden_biases 2": (second, 1),
        "output_weights": (read.number("output_vocab_size"), second),
        "output_biases": (read.number("output_vocab_size"), 1),
    }
    ids = text.ids_N.tolist()
    found = []
    for start, end in zip(text.starts, text.starts[1:], strict=False):
        found += read.log_probs([tokens[i] for i in ids[start:end]])
    np.testing.assert_allclose(found, -scorer.nll(text, "sentence"), rtol=0, atol=1e-5)
    assert sum(batch.predictions for batch, _ in scoring_batches(text, "sentence")) == len(found)


@pytest.mark.parametrize(
    ("arch", "settings", "named"),
    [
        ("lstm", {}, "--arch lstm"),
        ("ffn", {"layers": 0}, "--layers 0"),
        ("ffn", {"layers": 3}, "--layers 3"),
        ("ffn", {"activation": "gelu"}, "--activation gelu"),
        ("ffn", {"far": 3, "averages": 1}, "--far 3"),
        ("ffn", {"gate": True}, "--gate"),
        ("ffn", {"residual": True, "layers": 2}, "--residual"),
        ("ffn", {"residual": True, "dim": 3, "hidden": 6}, "--residual"),
        ("ffn", {"norm": "post"}, "--norm post"),
        ("ffn", {"softmax": "adaptive", "cutoffs": "4"}, "--softmax adaptive"),
    ],
)
def test_what_does_not_map_is_refused(network, arch, settings, named):
    scorer = network(arch, **settings)
    with pytest.raises(ConfigError, match=named):
        two_layers(scorer.weights, scorer.config)


def test_a_start_symbol_among_the_words(network, tokens, tmp_path):
    scorer = network()
    with pytest.raises(ConfigError, match="<s>"):
        save_isi(tmp_path / "m", two_layers(scorer.weights, scorer.config), [*tokens[:-1], "<s>"])
