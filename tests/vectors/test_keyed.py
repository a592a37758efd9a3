"""Neighbours against brute force in float64, ties, samples, and what importing costs."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.errors import ArtifactError, ConfigError, UnknownWordError
from nplm_cli.vectors import nearest, row_lengths, scan
from nplm_cli.vectors.keyed import KeyedVectors
from nplm_cli.vectors.line_words import LineWords
from nplm_cli.vectors.sampling import is_plain_word

METRICS = ["cosine", "euclidean", "correlation"]


def brute_force(vectors, row, metric, skip):
    """All rows but the query and ``skip`` as (row, score), by plain formulas in float64."""
    query, scored = vectors[row].astype(np.float64), []
    for other in range(len(vectors)):
        if other == row or other in skip:
            continue
        x, q = vectors[other].astype(np.float64), query
        if metric == "euclidean":
            scored.append((other, float(np.linalg.norm(q - x))))
            continue
        if metric == "correlation":
            x, q = x - x.mean(), q - q.mean()
        size = np.linalg.norm(x) * np.linalg.norm(q)
        scored.append((other, -float(x @ q / size) if size > 0 else 0.0))
    return scored


@st.composite
def matrices(draw):
    """Small matrices with zero rows, repeated rows, and rows of very different size."""
    dim = draw(st.integers(1, 5))
    numbers = st.sampled_from([0.0, 1.0, -1.0, 0.1, 0.25, 3.0, 1e-3, -7.5])
    row = st.lists(numbers, min_size=dim, max_size=dim)
    rows = np.array(draw(st.lists(row, min_size=1, max_size=12)), dtype=np.float32)
    scale = draw(st.sampled_from([1.0, 1e-18, 1e18, 1e-30]))
    scaled = draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    rows[np.array(scaled)] *= np.float32(scale)
    return rows


@settings(max_examples=150, deadline=None)
@given(matrices(), st.sampled_from(METRICS), st.integers(1, 15), st.data())
def test_neighbours_are_those_of_brute_force(vectors, metric, k, data):
    size = len(vectors)
    skip = data.draw(st.sets(st.integers(0, size - 1), max_size=2))
    keyed = KeyedVectors([f"w{i}" for i in range(size)], vectors, skip=skip)
    sign = 1 if metric == "euclidean" else -1
    for row, found in enumerate(keyed.neighbors(range(size), k, metric)):
        expected = dict(brute_force(vectors, row, metric, skip))
        rows = [int(near.word[1:]) for near in found]
        scores = [near.score for near in found]
        assert len(found) == min(k, len(expected))
        assert scores == pytest.approx([sign * expected[r] for r in rows], rel=1e-12, abs=1e-12)
        # Nearest first, ties in order of rows, nothing better left out.
        keys = [(sign * s, r) for s, r in zip(scores, rows, strict=True)]
        assert keys == sorted(keys)
        left_out = [s for r, s in expected.items() if r not in rows]
        if rows and left_out:
            assert keys[-1][0] <= min(left_out) + 1e-12 * abs(min(left_out)) + 1e-12


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [3, 50, 300])
def test_equal_rows_tie_wherever_they_stand(metric, dim, monkeypatch):
    # Small blocks, so that equal rows fall into different ones and onto their edges.
    monkeypatch.setattr(scan, "_FEWEST_ROWS", 1)
    monkeypatch.setattr(scan, "_BLOCK_SCORES", 1)
    monkeypatch.setattr(scan, "_SINGLE_ROWS", 100)
    monkeypatch.setattr(scan, "_PART_NUMBERS", 9 * dim)
    monkeypatch.setattr(row_lengths, "COPY_NUMBERS", 7 * dim)
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((3000, dim)).astype(np.float32)
    copies = np.sort(rng.choice(np.arange(1, 3000), 40, replace=False))
    vectors[copies] = vectors[0] + np.float32(0.01)
    keyed = KeyedVectors([str(i) for i in range(3000)], vectors)
    for k in (5, 40):
        [found] = keyed.neighbors([0], k, metric)
        assert [near.word for near in found] == [str(row) for row in copies[:k]]
        assert len({near.score for near in found}) == 1


@pytest.mark.parametrize("metric", METRICS)
def test_order_is_exact_where_float32_cannot_tell(metric):
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal(100) + 1e-5 * rng.standard_normal((400, 100))
    keyed = KeyedVectors([str(i) for i in range(400)], vectors)
    everything = keyed.vectors.astype(np.float64)
    for row, found in enumerate(keyed.neighbors(range(20), 5, metric)):
        scores = nearest.exact_scores(everything[row], everything, metric)
        order = np.argsort(scores if metric == "euclidean" else -scores, kind="stable")
        assert [int(near.word) for near in found] == [i for i in order.tolist() if i != row][:5]


@pytest.mark.parametrize("metric", METRICS)
def test_a_batch_gives_what_single_queries_give(metric):
    vectors = np.random.default_rng(2).standard_normal((700, 20)).astype(np.float32)
    keyed = KeyedVectors([str(i) for i in range(700)], vectors, counts=range(700))
    batch = keyed.neighbors(range(600), 7, metric)
    assert [keyed.neighbors([row], 7, metric)[0] for row in range(0, 600, 37)] == batch[::37]
    best = batch[0][0]
    assert best.count == int(best.word)


def test_zero_vectors_score_zero_and_never_nan():
    keyed = KeyedVectors(["a", "zero", "b"], np.array([[1, 0], [0, 0], [-1, 0]]))
    assert keyed.neighbors(["a"]) == [[("zero", 0.0, None), ("b", -1.0, None)]]
    assert keyed.neighbors(["zero"]) == [[("a", 0.0, None), ("b", 0.0, None)]]
    constant = KeyedVectors(["a", "flat"], np.array([[1, 0, 3], [0.1, 0.1, 0.1]]))
    assert constant.neighbors(["a"], metric="correlation") == [[("flat", 0.0, None)]]
    assert keyed.similarity("a", "zero") == 0.0


def test_parallel_vectors_score_at_most_one_and_orthogonal_ones_plain_zero():
    rows = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    for row in rows.astype(np.float64):
        assert 1 - 1e-15 < nearest.exact_scores(row, 3 * row[None], "cosine")[0] <= 1
    [score] = nearest.exact_scores(np.array([-1.0, -1, 0]), np.array([[0.0, 0, -1]]), "cosine")
    assert str(score) == "0.0"


def test_query_and_skipped_rows_are_left_out_but_equal_vectors_stay():
    keyed = KeyedVectors(["<unk>", "</s>", "a", "b"], np.ones((4, 2)), skip=[0, 1])
    assert [near.word for near in keyed.neighbors(["a"], k=50)[0]] == ["b"]
    assert [near.word for near in keyed.neighbors([0])[0]] == ["a", "b"]
    assert keyed.neighbors([]) == []


def test_a_read_only_memory_map_serves(tmp_path):
    np.save(tmp_path / "v.npy", np.eye(3, dtype=np.float32))
    vectors = np.load(tmp_path / "v.npy", mmap_mode="r")
    keyed = KeyedVectors(["a", "b", "c"], vectors)
    assert np.shares_memory(keyed.vectors, vectors)
    assert [near.word for near in keyed.neighbors(["b"])[0]] == ["a", "c"]


def test_most_similar_is_gensims():
    gensim = pytest.importorskip("gensim.models")
    vectors = np.random.default_rng(3).standard_normal((50, 8)).astype(np.float32)
    words = [f"w{i}" for i in range(50)]
    keyed = KeyedVectors(words, vectors)
    theirs = gensim.KeyedVectors(8)
    theirs.add_vectors(words, vectors)
    for positive, negative in [(["w1", "w2"], ["w3"]), (["w1"], []), ([], ["w4"]), ("w5", "w6")]:
        ours = keyed.most_similar(positive, negative, topn=6)
        other = theirs.most_similar(positive, negative, topn=6)
        assert [word for word, _ in ours] == [word for word, _ in other]
        assert [s for _, s in ours] == pytest.approx([s for _, s in other], abs=1e-6)
    assert keyed.similarity("w1", "w2") == pytest.approx(theirs.similarity("w1", "w2"), abs=1e-6)


def test_errors_say_what_is_wrong():
    keyed = KeyedVectors(["cat", "cut"], np.eye(2))
    with pytest.raises(UnknownWordError, match=r"'cta'.*near: cat"):
        keyed.neighbors(["cta"])
    with pytest.raises(UnknownWordError, match="no row 2: rows go from 0 to 1"):
        keyed.neighbors([2])
    with pytest.raises(ConfigError, match="did you mean 'cosine'"):
        keyed.neighbors(["cat"], metric="cosin")
    with pytest.raises(ConfigError, match="k is 0"):
        keyed.neighbors(["cat"], k=0)
    with pytest.raises(ConfigError, match="at least one"):
        keyed.most_similar()
    with pytest.raises(ArtifactError, match=r"'cut' .row 1. holds nan"):
        KeyedVectors(["cat", "cut"], np.array([[1, 2], [np.nan, 1]])).neighbors(["cat"])
    with pytest.raises(ArtifactError, match="'a' occurs twice"):
        KeyedVectors(["a", "b", "a"], np.eye(3))
    with pytest.raises(ArtifactError, match="3 words but vectors of shape"):
        KeyedVectors(["a", "b", "c"], np.eye(2))
    with pytest.raises(ArtifactError, match="1 counts"):
        KeyedVectors(["a", "b"], np.eye(2), counts=[1])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_row_that_is_not_finite_is_named_wherever_it_stands(metric, bad, monkeypatch):
    monkeypatch.setattr(scan, "_SINGLE_ROWS", 8)
    monkeypatch.setattr(scan, "_PART_NUMBERS", 9)
    vectors = np.random.default_rng(1).standard_normal((50, 3)).astype(np.float32)
    vectors[[31, 40], 1] = bad
    for queries in ([0], [40], [0, 1], [31, 2], []):
        keyed = KeyedVectors([f"w{i}" for i in range(50)], vectors)
        for _ in range(2):  # what a failed search has found out is not taken for the whole
            with pytest.raises(ArtifactError, match=r"'w31' .row 31. holds nan or inf"):
                keyed.neighbors(queries, 3, metric)
    with pytest.raises(ArtifactError, match=r"'w31' .row 31. holds nan or inf"):
        keyed.most_similar(["w1"], ["w2"])


@pytest.mark.parametrize("metric", METRICS)
def test_a_second_search_finds_what_the_first_did(metric):
    vectors = np.random.default_rng(1).standard_normal((3000, 40)).astype(np.float32)
    words = [str(i) for i in range(3000)]
    keyed = KeyedVectors(words, vectors)
    first = keyed.neighbors([7], 9, metric)
    assert keyed.neighbors([7], 9, metric) == first
    assert keyed.neighbors([7, 8], 9, metric)[:1] == first
    assert KeyedVectors(words, vectors).neighbors([7, 8], 9, metric)[:1] == first


def test_words_of_lines_serve_as_a_list_of_words_does():
    words = ["the", "中国", "", "a b", "Donaudampfschifffahrt", "e\u0301", "<unk>"]
    vectors = np.random.default_rng(1).standard_normal((7, 3)).astype(np.float32)
    listed = KeyedVectors(words, vectors)
    for k in (1, 30):  # with few look-ups, and with an index
        lines = KeyedVectors(LineWords("".join(f"{word}\n" for word in words).encode()), vectors)
        queries = words * k
        assert lines.neighbors(queries, 4) == listed.neighbors(queries, 4)
        assert [lines.index_of(word) for word in queries] == list(range(7)) * k
    assert (lines.words, lines.index, len(lines)) == (words, listed.index, 7)
    assert "中国" in lines
    assert 3 not in lines
    assert lines.index_of("中") is None
    with pytest.raises(UnknownWordError, match=r"'thе'.*not in the vocabulary"):
        lines.neighbors(["thе"])  # a Cyrillic letter
    with pytest.raises(ArtifactError, match="'a' occurs twice"):
        KeyedVectors(LineWords(b"a\nb\nc\nb\na\n"), np.eye(5))
    with pytest.raises(ArtifactError, match="2 words but vectors of shape"):
        KeyedVectors(LineWords(b"a\nb\n"), np.eye(3))


@pytest.fixture
def ranked() -> KeyedVectors:
    """Specials, punctuation, numbers, then letter words; row order is not frequency order."""
    letters = [a + b + c for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyzabcd"]
    words = ["<unk>", "</s>", ",", "。", "1990", "１２", "3rd", "--", *letters]
    counts = np.arange(len(words), 0, -1)[::-1]
    return KeyedVectors(words, np.zeros((len(words), 1)), counts, skip=[0, 1])


def test_samples_are_plain_words_seeded_and_stratified(ranked):
    sample = ranked.sample_words(20, seed=7)
    assert sample == ranked.sample_words(20, seed=7)
    assert sample != ranked.sample_words(20, seed=8)
    assert len(set(sample)) == 20
    assert all(is_plain_word(word) for word in sample)
    # The last row is the most frequent word, rank 1.
    ranks = [len(ranked) - ranked.index_of(word) for word in sample]
    assert ranks == sorted(ranks)
    assert ranks[0] >= 101
    edges = np.exp(np.linspace(np.log(101), np.log(len(ranked) - 1), 6))
    edges[0] = 101  # the logarithm's exponential is a hair above
    assert np.histogram(ranks, edges)[0].tolist() == [4, 4, 4, 4, 4]


def test_samples_keep_to_a_band_and_a_predicate(ranked):
    sample = ranked.sample_words(5, seed=1, band=(3, 7))
    assert [len(ranked) - ranked.index_of(word) for word in sample] == [3, 4, 5, 6, 7]
    assert ranked.sample_words(9, seed=1, keep=str.isdecimal) == ["１２", "1990"]
    assert len(ranked.sample_words(5000, seed=1)) == 1000
    few = KeyedVectors(["a", "b", "c"], np.eye(3))
    assert few.sample_words(2, seed=0, band=(2, 99)) == ["b", "c"]
    assert few.sample_words(2, seed=0, band=(9, 99)) == []
    with pytest.raises(ConfigError, match="ranks from 1"):
        ranked.sample_words(2, seed=0, band=(5, 2))
    with pytest.raises(ConfigError, match="at least 1"):
        ranked.sample_words(0, seed=0)


@pytest.mark.parametrize(
    ("word", "plain"),
    [("sea-lion", True), ("don't", True), ("中国", True), ("résumé", True), ("हिन्दी", True)]
    + [(w, False) for w in ["", "-", "3rd", "a.b", "<unk>", "１", "。", "o'", "a b", "$"]],
)  # fmt: skip
def test_what_is_a_plain_word(word, plain):
    assert is_plain_word(word) is plain


def test_importing_loads_numpy_alone():
    code = (
        "import sys, nplm_cli.vectors;"
        "print(sorted({'torch','scipy','rich','jieba','gensim','typer','safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
