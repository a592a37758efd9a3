"""Vectors of sentences: the hidden state after the last word, in any company."""

import numpy as np
import pytest

from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.query import FORWARD
from nplm_cli.query.sentence_vectors import sentence_vectors
from nplm_cli.vectors.export import save_sentence_vectors
from nplm_cli.vectors.formats import load_vectors

TABLE = np.array([[0.5, -1], [1e-5, 0.1], [0.5, -1]], np.float32)
TEXTS = ["我 买 书", "", "我 买 书"]


@pytest.fixture(scope="module")
def sentences():
    random = np.random.default_rng(3)
    lengths = [4, 0, 9, 1, 4, 2, 17, 0, 3, 4]
    return [random.integers(2, 11, length).tolist() for length in lengths]


def test_a_vector_is_the_state_after_the_last_word(neural, sentences):
    found = sentence_vectors(neural, sentences)
    assert found.dtype == np.float32
    for ids, vector in zip(sentences, found, strict=True):
        state = FORWARD[neural.config.arch].initial_state(neural.config, 1)
        for i in [EOS_ID, *ids]:
            hidden, state = neural.module.forward(
                neural.weights, neural.config, np.array([[i]]), state
            )
        np.testing.assert_allclose(vector, hidden[0, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 12, 40, 4096])
def test_batches_change_nothing(neural, sentences, batch_tokens):
    alone = np.concatenate([sentence_vectors(neural, [ids]) for ids in sentences])
    together = sentence_vectors(neural, sentences, batch_tokens=batch_tokens)
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    back = sentence_vectors(neural, sentences[::-1], batch_tokens=batch_tokens)[::-1]
    np.testing.assert_allclose(back, alone, rtol=0, atol=1e-5)


def test_the_output_layer_reads_it(neural):
    """Its logits are the next word's: the very state that predicts what follows."""
    log_p_V = neural.next_log_probs([3, 9, 2])
    [vector] = sentence_vectors(neural, [[3, 9, 2]])
    name = "embedding.weight" if neural.config.tie else "output.weight"
    logits_V = vector @ neural.weights[name].T + neural.weights["output.bias"]
    np.testing.assert_allclose(log_p_V - log_p_V[0], logits_V - logits_V[0], rtol=0, atol=1e-5)


def test_no_sentences(neural):
    assert sentence_vectors(neural, []).shape == (0, neural.width)


def test_counts_have_no_vectors(counted):
    with pytest.raises(ConfigError, match=r"n-gram count model has no hidden state.*--arch ffn"):
        sentence_vectors(counted("kn"), [[2]])


@pytest.mark.parametrize("form", ["word2vec", "word2vec-bin", "glove", "npy", "safetensors"])
def test_the_line_number_is_the_key(tmp_path, form):
    path = tmp_path / ("v.safetensors" if form == "safetensors" else "v.npy")
    path = path if form in ("safetensors", "npy") else tmp_path / "v"
    save_sentence_vectors(path, TABLE, TEXTS, form)
    back = load_vectors(path)
    assert list(back.words) == ["1", "2", "3"]
    assert back.vectors.tobytes() == TABLE.tobytes()


def test_projector_has_the_sentences(tmp_path):
    texts = ["a\tb", "", "a  b \ud800"]
    written = save_sentence_vectors(tmp_path / "s.tsv", TABLE, texts, "projector")
    assert [path.name for path in written] == ["s.vectors.tsv", "s.metadata.tsv"]
    assert written[0].read_text() == "0.5\t-1.0\n1e-05\t0.1\n0.5\t-1.0\n"
    lines = "line\tsentence\n1\ta b\n2\t\n3\ta b \ufffd\n"
    assert written[1].read_bytes() == lines.encode()


def test_nothing_is_written_when_a_vector_is_not_finite(tmp_path):
    bad = np.where(TABLE[1, 1] == TABLE, np.nan, TABLE)
    with pytest.raises(ArtifactError, match="nan or inf"):
        save_sentence_vectors(tmp_path / "s", bad, TEXTS, "projector")
    with pytest.raises(ConfigError, match="unknown vector format"):
        save_sentence_vectors(tmp_path / "s", TABLE, TEXTS, "word2vce")
    assert list(tmp_path.iterdir()) == []
