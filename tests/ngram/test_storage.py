import json

import numpy as np
import pytest

from nplm_cli import pipeline
from nplm_cli.artifacts import TensorFile, write_tensors
from nplm_cli.config import Config
from nplm_cli.corpus.preparation import Sources
from nplm_cli.errors import ArtifactError
from nplm_cli.ngram import NgramModel


@pytest.mark.parametrize("smoothing", ["kn", "mle", "addk"])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_round_trip_through_a_file(corpus, tmp_path, smoothing, order):
    model = NgramModel.train(
        corpus, order=order, vocab_size=45, smoothing=smoothing, k=0.3, context="stream"
    )
    path = tmp_path / "model.safetensors"
    write_tensors(path, model.tensors(), model.metadata())
    with_map = TensorFile(path)
    loaded = NgramModel.from_tensors(with_map, with_map.metadata)

    for name in ("order", "vocab_size", "smoothing", "k", "context", "notes"):
        assert getattr(loaded, name) == getattr(model, name)
    np.testing.assert_array_equal(loaded.log_probs(corpus), model.log_probs(corpus))
    for history in ([], [1], [1, 2, 3], [44, 2], [2, 1]):
        np.testing.assert_array_equal(loaded.next_log_probs(history), model.next_log_probs(history))
        for found, expected in zip(
            loaded.continuations(history), model.continuations(history), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
    assert loaded.count([2]) == model.count([2])
    assert not loaded.trie.tables[order].counts_N.flags.writeable

    again = tmp_path / "again.safetensors"
    write_tensors(again, loaded.tensors(), loaded.metadata())
    assert again.read_bytes() == path.read_bytes()


@pytest.fixture
def stored(corpus):
    model = NgramModel.train(corpus, order=3, vocab_size=45)
    return {name: array.copy() for name, array in model.tensors().items()}, model.metadata()


def refuse(tensors, metadata, match="corrupt"):
    with pytest.raises(ArtifactError, match=match):
        NgramModel.from_tensors(tensors, metadata)


def test_every_tensor_is_needed_in_its_type_and_shape(stored):
    tensors, metadata = stored
    assert len(tensors) == 15
    for name, array in tensors.items():
        refuse({n: a for n, a in tensors.items() if n != name}, metadata, "without tensor")
        refuse({**tensors, name: array[:-1]}, metadata)
        refuse({**tensors, name: array.astype(np.float32)}, metadata)
        refuse({**tensors, name: array.reshape(-1, 1)}, metadata)
        refuse({**tensors, name: np.zeros((), array.dtype)}, metadata)


@pytest.fixture
def short(to_stream):
    """Order 5 of sentences of one word: nothing is longer than ``</s> word </s>``."""
    model = NgramModel.train(to_stream([[2]] * 5), order=5, vocab_size=4)
    return model, dict(model.tensors()), model.metadata()


def test_an_order_that_no_sentence_reaches(short, tmp_path):
    model, tensors, metadata = short
    assert [len(table.counts_N) for table in model.trie.tables] == [1, 4, 2, 1, 0, 0]
    path = tmp_path / "model.safetensors"
    write_tensors(path, tensors, metadata)
    stored = TensorFile(path)
    loaded = NgramModel.from_tensors(stored, stored.metadata)
    ids = np.array([2, 1, 2, 2, 2, 2, 2, 2, 1, 3, 1])
    np.testing.assert_array_equal(loaded.log_probs(ids), model.log_probs(ids))
    for history in ([], [2], [2, 2, 2, 2], [3, 2, 2, 2, 2]):
        found = loaded.next_log_probs(history)
        np.testing.assert_array_equal(found, model.next_log_probs(history))
        assert np.exp(found).sum() == pytest.approx(1, rel=1e-12)
    write_tensors(tmp_path / "again.safetensors", loaded.tensors(), loaded.metadata())
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_only_an_order_without_ngrams_may_lack_backoffs(short):
    _, tensors, metadata = short
    for order in range(4):
        name = f"order{order}.backoffs"
        refuse({n: a for n, a in tensors.items() if n != name}, metadata, f"without tensor {name}")
    assert "order4.backoffs" not in tensors
    empty = {**tensors, "order4.backoffs": np.zeros(0)}
    assert NgramModel.from_tensors(empty, metadata).order == 5
    refuse({**tensors, "order4.backoffs": np.ones(1)}, metadata)


def test_a_baseline_of_an_order_that_no_sentence_reaches(tmp_path):
    (tmp_path / "a.txt").write_text("a\n" * 8, "utf-8")
    settings = {
        "format": "segmented", "sentences": "line", "min_count": 1, "split_by": "none",
        "order": 2, "dim": 2, "hidden": 2, "steps": 1, "threads": 1, "device": "cpu",
    }  # fmt: skip
    config = Config().replace(baseline_order=5, **settings)
    text = str(tmp_path / "a.txt")
    pipeline.train(Sources(train=(text,), valid=(text,)), tmp_path / "run", config)
    report = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))
    assert report["valid"]["baselines"]["kneser_ney"]["ppl"] < 4


def test_keys_out_of_order_or_range_are_refused(stored):
    tensors, metadata = stored
    for name, contexts in (("order2.keys", "order1.counts"), ("order3.keys", "order2.counts")):
        end = len(tensors[contexts]) * 45
        for place, key in ((0, -1), (-1, end), (-1, 2**62), (5, 0), (5, 2**62)):
            keys = tensors[name].copy()
            keys[place] = key
            refuse({**tensors, name: keys}, metadata, "not in order")


def test_weights_out_of_range_are_refused(stored):
    tensors, metadata = stored
    for wrong in (np.nan, np.inf, -0.5, 0.0, 1.5):
        for name in ("order0.backoffs", "order1.backoffs", "order2.backoffs"):
            weights = tensors[name].copy()
            weights[-1] = wrong
            refuse({**tensors, name: weights}, metadata, "out of range")
    for wrong in (np.nan, -1.0, 4.0):
        discounts = tensors["discounts"].copy()
        discounts[1, 2] = wrong
        refuse({**tensors, "discounts": discounts}, metadata, "out of range")


def test_counts_that_contradict_each_other_never_give_a_probability(stored, corpus):
    tensors, metadata = stored
    tensors["order2.totals"][:] = np.minimum(tensors["order2.totals"], 1)
    model = NgramModel.from_tensors(tensors, metadata)
    with pytest.raises(ArtifactError, match="contradict"):
        model.log_probs(corpus)
    with pytest.raises(ArtifactError, match="contradict"):
        model.next_log_probs(corpus[:2].tolist() if corpus[1] != 1 else [2, 2])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "ffn"),
        ("order", "0"),
        ("order", "2"),
        ("order", "4"),
        ("order", "1000000000"),
        ("order", "three"),
        ("vocab_size", "44"),
        ("vocab_size", "-1"),
        ("vocab_size", "4294967296"),
        ("smoothing", "katz"),
        ("k", "nan"),
        ("k", "-1"),
        ("context", "document"),
        ("notes", "["),
        ("notes", "[1]"),
        ("notes", "{}"),
        ("notes", "[" * 100_000),
    ],
)
def test_wrong_metadata_is_refused(stored, key, value):
    tensors, metadata = stored
    refuse(tensors, {**metadata, key: value}, "n-gram")
    refuse(tensors, {k: v for k, v in metadata.items() if k != key}, "n-gram")


def test_a_damaged_file_is_refused(stored, tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, *stored)
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="checksum"):
        TensorFile(path)
