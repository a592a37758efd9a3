import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from nplm_cli.errors import ConfigError, InputError
from nplm_cli.ngram import NgramModel
from nplm_cli.ngram.kneser_ney import discounts


def perplexity(model, ids):
    return np.exp(-model.log_probs(ids).mean())


@pytest.mark.parametrize("order", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("context", ["sentence", "stream"])
@pytest.mark.parametrize(
    "sentences",
    [
        [[2]],
        [[]],
        [[2, 3, 4]],
        [[2, 2, 2, 2, 2, 2, 2, 2]],
        [[2, 3], [2, 3], [2, 3], [2, 3]],
        [[2, 3, 4], [4, 3], [5], [2, 2]],
        [[2 + i * i % 23 for i in range(200)]],
    ],
)
def test_tiny_corpora_give_finite_perplexity(to_stream, sentences, order, context):
    """One sentence, four sentences, characters: all orders, words of the vocabulary unseen."""
    model = NgramModel.train(to_stream(sentences), order=order, vocab_size=40, context=context)
    unseen = to_stream([[39, 38, 2], [], [0]])
    assert np.isfinite(perplexity(model, to_stream(sentences)))
    assert np.isfinite(perplexity(model, unseen))


def test_a_product_of_tiny_backoff_weights_stays_finite(corpus):
    """Hundreds of backoff weights can multiply to less than any float; here two do."""
    trained = NgramModel.train(corpus, order=3, vocab_size=45)
    tensors = {
        name: np.full_like(array, 1e-200) if name.endswith("backoffs") else array
        for name, array in trained.tensors().items()
    }
    model = NgramModel.from_tensors(tensors, trained.metadata())
    log_p = model.log_probs(np.array([2, 44, 1]))
    assert np.isfinite(log_p).all()
    assert model.next_log_probs([1, 2])[44] == log_p[1] < -700


def test_fallback_is_announced_for_each_order_that_needs_it(to_stream):
    heard = []
    model = NgramModel.train(
        to_stream([[2, 3], [2, 4]]), order=3, vocab_size=5, on_event=heard.append
    )
    assert heard == model.notes
    assert [note.split(":")[0] for note in heard] == [f"Kneser-Ney order {n}" for n in (1, 2, 3)]
    assert model.discounts.tolist() == [[0, 0.5, 1, 1.5]] * 3


@pytest.mark.parametrize(
    ("of_1", "of_2", "of_3", "of_4", "expected"),
    [
        (4, 2, 1, 0, [0, 1 / 2, 5 / 4, 3]),
        (4, 2, 1, 1, [0, 1 / 2, 5 / 4, 1]),
        (6, 3, 4, 0, None),  # D2 = 0
        (4, 2, 1, 2, None),  # D3 = -1
        (0, 2, 1, 1, None),
        (4, 0, 1, 1, None),
        (4, 2, 0, 1, None),
    ],
)
def test_discounts(of_1, of_2, of_3, of_4, expected):
    counts = np.repeat([0, 1, 2, 3, 4, 9], [5, of_1, of_2, of_3, of_4, 7])
    found, note = discounts(counts, 2)
    np.testing.assert_allclose(found, expected or [0, 0.5, 1, 1.5], atol=1e-15)
    assert (note is None) == (expected is not None)


def test_words_never_seen_share_the_uniform_rest(corpus):
    model = NgramModel.train(corpus, order=3, vocab_size=45)
    p = np.exp(model.next_log_probs([1, 2]))
    assert p[40] == p[44] > 0


def test_order_1_of_mle_is_relative_frequency(corpus):
    model = NgramModel.train(corpus, order=1, vocab_size=45, smoothing="mle")
    counts = np.bincount(corpus, minlength=45)
    np.testing.assert_allclose(np.exp(model.next_log_probs([1, 3, 2])), counts / len(corpus))
    assert model.count([]) == len(corpus)


def test_add_k(to_stream):
    model = NgramModel.train(
        to_stream([[2, 3], [2, 4], [2]]), order=2, vocab_size=5, smoothing="addk", k=0.5
    )
    # After word 2: three times, once each 3, 4 and </s>; 0.5 on each of five words.
    np.testing.assert_allclose(
        np.exp(model.next_log_probs([1, 2])), np.array([0.5, 1.5, 0.5, 1.5, 1.5]) / 5.5
    )
    np.testing.assert_allclose(np.exp(model.next_log_probs([0])), np.full(5, 0.2))


def test_mle_after_an_unseen_history_is_zero_everywhere(to_stream):
    model = NgramModel.train(to_stream([[2, 3]]), order=2, vocab_size=5, smoothing="mle")
    assert (model.next_log_probs([1, 4]) == -np.inf).all()
    np.testing.assert_array_equal(model.log_probs(to_stream([[2, 4], [2, 3]])), [0, -np.inf, -np.inf, 0, 0, 0])  # fmt: skip


def test_stream_runs_on_over_the_sentence_end(to_stream):
    ids = to_stream([[2, 3], [4, 2], [2, 3], [4, 4]])
    stream = NgramModel.train(ids, order=3, vocab_size=5, context="stream", smoothing="mle")
    assert stream.count([3, 1, 4]) == 2
    assert stream.count([1, 4]) == 2
    assert np.exp(stream.next_log_probs([3, 1])[4]) == 1
    sentence = NgramModel.train(ids, order=3, vocab_size=5, smoothing="mle")
    assert sentence.count([3, 1, 4]) == 0
    assert np.exp(sentence.next_log_probs([3, 1])[4]) == 0.5  # begins half of the sentences


def test_a_file_starts_after_the_boundary_alone(to_stream):
    ids = to_stream([[2, 3], [4, 2]])
    joined = NgramModel.train(ids, order=3, vocab_size=5, context="stream")
    apart = NgramModel.train(ids, order=3, vocab_size=5, context="stream", file_starts=[0, 3])
    assert joined.count([3, 1, 4]) == 1
    assert apart.count([3, 1, 4]) == 0
    assert apart.count([1, 4]) == 1
    each = np.concatenate([joined.log_probs(ids[:3]), joined.log_probs(ids[3:])])
    np.testing.assert_array_equal(joined.log_probs(ids, file_starts=[0, 3]), each)
    np.testing.assert_array_equal(joined.log_probs(ids, context="sentence"), each)
    assert not np.array_equal(joined.log_probs(ids), each)


def test_sentence_scores_do_not_depend_on_neighbours(corpus):
    model = NgramModel.train(corpus, order=4, vocab_size=45)
    ends = np.flatnonzero(corpus == 1) + 1
    whole = model.log_probs(corpus)
    for start, end in pairwise(ends[:21]):
        np.testing.assert_array_equal(model.log_probs(corpus[start:end]), whole[start:end])


def test_counts_are_cut_at_a_sentence_end(to_stream):
    ids = to_stream([[2, 3], [4], [2, 2, 2]])
    heard = []
    cut = NgramModel.train(ids, order=2, vocab_size=5, max_tokens=7, on_event=heard.append)
    whole = NgramModel.train(ids[:5], order=2, vocab_size=5)
    assert cut.notes[0] == heard[0] == "n-gram counts: the first 5 of 9 tokens"
    np.testing.assert_array_equal(cut.log_probs(ids), whole.log_probs(ids))
    assert NgramModel.train(ids, order=2, vocab_size=5, max_tokens=9).count([]) == 9
    # One endless sentence has no end to cut at.
    assert NgramModel.train(ids, order=2, vocab_size=5, max_tokens=2).count([]) == 2


def test_reads_any_integer_type_and_a_memory_map(corpus, tmp_path):
    corpus.astype("<u4").tofile(tmp_path / "ids")
    mapped = np.memmap(tmp_path / "ids", dtype="<u4", mode="r")
    models = [
        NgramModel.train(ids, order=3, vocab_size=45)
        for ids in (corpus, corpus.astype(np.int64), mapped)
    ]
    scores = [m.log_probs(mapped) for m in models]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])


def test_nothing_to_score(corpus):
    for smoothing in ("kn", "mle", "addk"):
        model = NgramModel.train(corpus, order=3, vocab_size=45, smoothing=smoothing)
        assert model.log_probs(np.zeros(0, np.uint16)).shape == (0,)


def test_continuations(to_stream):
    model = NgramModel.train(to_stream([[2, 4], [2, 3], [2, 5], [2, 5]]), order=3, vocab_size=6)
    words, counts = model.continuations([1, 2])
    assert words.tolist() == [5, 3, 4]
    assert counts.tolist() == [2, 1, 1]
    assert model.continuations([5, 4])[0].size == 0
    words, counts = model.continuations([])
    assert dict(zip(words.tolist(), counts.tolist(), strict=True)) == {1: 4, 2: 4, 3: 1, 4: 1, 5: 2}


def test_refusals(corpus):
    def train(ids=corpus, **changes):
        return NgramModel.train(ids, **{"order": 2, "vocab_size": 45, **changes})

    with pytest.raises(InputError, match="token id 39: expected 0 to 29"):
        train(vocab_size=30)
    with pytest.raises(InputError, match="token id -1"):
        train(np.array([2, -1, 1]))
    with pytest.raises(InputError, match="no tokens"):
        train(np.zeros(0, np.uint16))
    with pytest.raises(InputError, match="flat array"):
        train(np.zeros((2, 2), np.uint16))
    with pytest.raises(InputError, match="flat array"):
        train(np.array([0.5, 1.0]))
    with pytest.raises(InputError, match="start of a file"):
        train(file_starts=[-1])
    for wrong in (
        {"order": 0},
        {"order": 513},
        {"vocab_size": 1},
        {"smoothing": "katz"},
        {"k": 0.0},
        {"k": float("nan")},
        {"context": "document"},
        {"max_tokens": 0},
    ):
        with pytest.raises(ConfigError, match="expected"):
            train(**wrong)
    model = train()
    with pytest.raises(InputError, match="token id 45"):
        model.log_probs(np.array([45, 1]))
    with pytest.raises(InputError, match="token id 45"):
        model.next_log_probs([45])
    with pytest.raises(InputError, match="token id -1"):
        model.continuations([-1])
    with pytest.raises(ConfigError, match="of order 2"):
        model.count([1, 2, 3])
    with pytest.raises(ConfigError, match="sentence or stream"):
        model.log_probs(corpus, context="document")


DIGEST = """
import hashlib, numpy as np
from nplm_cli.ngram import NgramModel
ids = np.append(np.minimum(np.random.default_rng(5).zipf(1.4, 5000), 39), 1)
model = NgramModel.train(ids, order=4, vocab_size=45)
digest = hashlib.sha256(model.log_probs(ids).tobytes())
for name, array in sorted(model.tensors().items()):
    digest.update(name.encode() + array.tobytes())
print(digest.hexdigest())
"""


def test_same_bytes_under_any_hash_seed():
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(digests) == 1


def test_no_torch_needed():
    code = (
        "import sys, nplm_cli.ngram; print(sorted({'torch', 'jieba', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
