"""Two languages on one another: exact copies are found, chance is not, nothing is tested on itself."""

import gzip
import math

import numpy as np
import pytest
from scipy.stats import binomtest

from nplm_cli.errors import ArtifactError, ConfigError, InputError, UnknownWordError
from nplm_cli.vectors import held_out
from nplm_cli.vectors.alignment import align, aligned_spaces, wilson_interval
from nplm_cli.vectors.dictionary import read_dictionary
from nplm_cli.vectors.held_out import Pairs, Translator
from nplm_cli.vectors.keyed import KeyedVectors
from nplm_cli.vectors.procrustes import random_folds, unit_rows
from nplm_cli.vectors.retrieval import mean_of_top


def rows_of(size=200, dim=6, seed=0):
    return np.random.default_rng(seed).standard_normal((size, dim))


def turn(dim, seed=0):
    return np.linalg.qr(rows_of(dim, dim, seed))[0]


def keyed(rows, prefix="s", counts=None, skip=()):
    return KeyedVectors([f"{prefix}{i}" for i in range(len(rows))], rows, counts, skip)


def entries(numbers):
    return [(f"s{i}", f"t{i}") for i in numbers]


@pytest.fixture(scope="module")
def noisy():
    """A space, its rotation with noise, and a dictionary of 80 of 200 words."""
    rows = rows_of()
    return keyed(rows), keyed(rows @ turn(6) + 0.4 * rows_of(seed=1), "t"), entries(range(80))


def test_a_rotated_copy_is_found_word_by_word():
    rows = rows_of()
    result = align(keyed(rows), keyed(5 * rows @ turn(6) + 1.5, "t"), entries(range(80)), k=3)
    for retrieval in ("csls", "cosine"):
        assert result["accuracy"][retrieval] == {"1": 1.0, "5": 1.0, "10": 1.0}
        assert result["interval_95"][retrieval]["1"] == wilson_interval(1.0, 80)
    for pair in result["pairs"]:
        assert pair["cosine_after"] == pytest.approx(1, abs=1e-5)
        assert (pair["rank"], pair["neighbors"][0]) == (1, pair["target"])
        assert len(pair["neighbors"]) == len(pair["neighbor_csls"]) == 3
        assert pair["neighbor_csls"] == sorted(pair["neighbor_csls"], reverse=True)
    chance = result["permutation"]
    assert chance["n"] == 20
    assert chance["accuracy_mean"] < 0.02
    assert chance["accuracy_max"] < 0.06
    assert chance["p_value"] == chance["pair_cosine"]["p_value"] == pytest.approx(1 / 21)
    assert abs(chance["pair_cosine"]["mean"]) < 0.1
    assert result["pair_cosine"] == pytest.approx(1, abs=1e-5)
    assert abs(result["random_cosine"]) < 0.05
    assert result["random_cosine_sd"] == pytest.approx(1 / math.sqrt(6), abs=0.03)
    assert result["warnings"] == []


def test_unrelated_spaces_are_chance():
    result = align(keyed(rows_of()), keyed(rows_of(seed=9), "t"), entries(range(80)))
    assert result["accuracy"]["csls"]["1"] < 0.05
    assert abs(result["pair_cosine"]) < 0.15
    assert result["permutation"]["pair_cosine"]["p_value"] > 0.05
    # The same map on the words it was fitted on finds agreement: that is why words are held out.
    mapped, target = aligned_spaces(
        keyed(rows_of()), keyed(rows_of(seed=9), "t"), entries(range(80))
    )
    fitted = [float(mapped[i] @ target[i]) for i in range(80)]
    assert np.mean(fitted) > result["pair_cosine"] + 0.1


def test_figures_are_those_of_brute_force(noisy):
    source, target, dictionary = noisy
    dictionary = [*dictionary, ("s3", "t150"), ("s4", "t3")]
    result = align(source, target, dictionary, folds=4, csls=7, seed=3, permutations=0)
    x, y = (unit_rows(k.vectors.astype(float) - k.vectors.mean(0, float)) for k in (source, target))
    fold_of = random_folds(80, 4, np.random.default_rng([3, 0]))
    right = {"csls": [], "cosine": []}
    records = {(p["source"], p["target"]): p for p in result["pairs"]}
    wrong = []
    for word in range(80):
        fitted_on = [(int(a[1:]), int(b[1:])) for a, b in dictionary]
        own = [b for a, b in fitted_on if a == word]
        seen = [(a, b) for a, b in fitted_on if fold_of[a] != fold_of[word]]
        u, _, vt = np.linalg.svd(sum(np.outer(x[a], y[b]) for a, b in seen))
        mapped = x @ u @ vt
        cosines = mapped[word] @ y.T
        r_t = np.sort(cosines)[-7:].mean()
        r_s = np.array([np.sort(mapped @ v)[-7:].mean() for v in y])
        scores = {"cosine": cosines, "csls": 2 * cosines - r_t - r_s}
        for by, score in scores.items():
            order = np.argsort(-score, kind="stable").tolist()
            right[by].append(min(order.index(t) for t in own) + 1)
        for t in own:
            record = records[f"s{word}", f"t{t}"]
            assert record["cosine_after"] == pytest.approx(cosines[t], abs=1e-6)
            order = np.argsort(-scores["csls"], kind="stable").tolist()
            assert record["rank"] == order.index(t) + 1
            assert record["neighbors"] == [f"t{i}" for i in order[:5]]
            assert record["neighbor_csls"] == pytest.approx(
                scores["csls"][order[:5]].tolist(), abs=1e-6
            )
        wrong += [cosines[t] for t in sorted({b for _, b in fitted_on}) if t not in own]
    for by, ranks in right.items():
        for n in (1, 5, 10):
            assert result["accuracy"][by][str(n)] == np.mean([rank <= n for rank in ranks])
    assert 0.2 < result["accuracy"]["csls"]["1"] < 0.95
    assert result["random_cosine"] == pytest.approx(np.mean(wrong), abs=1e-6)
    assert result["random_cosine_sd"] == pytest.approx(np.std(wrong), abs=1e-6)
    assert result["permutation"]["p_value"] is result["permutation"]["accuracy_mean"] is None


def test_csls_passes_a_hub_by():
    # Translations at cosine 0.55 in dimensions of their own; a hub at 0.577 from every word.
    cosines = np.array([[0.55, 0, 0, 3**-0.5], [0, 0.55, 0, 3**-0.5], [0, 0, 0.55, 3**-0.5]])
    sources = np.eye(6)[:3]
    own_axes = 0.55 * np.eye(6)[:3] + math.sqrt(1 - 0.55**2) * np.eye(6)[3:]
    targets = np.vstack([own_axes, np.array([1, 1, 1, 0, 0, 0]) * 3**-0.5])
    assert sources @ targets.T == pytest.approx(cosines, abs=1e-12)
    own, hubs = mean_of_top(sources, targets, 2), mean_of_top(targets, sources, 2)
    assert own == pytest.approx([(0.55 + 3**-0.5) / 2] * 3, abs=1e-12)
    assert hubs == pytest.approx([0.275, 0.275, 0.275, 3**-0.5], abs=1e-12)
    scores = held_out.csls(cosines, own[:, None], hubs)
    assert cosines.argmax(1).tolist() == [3, 3, 3]
    assert scores.argmax(1).tolist() == [0, 1, 2]
    assert scores[0, 0] == pytest.approx(2 * 0.55 - (0.55 + 3**-0.5) / 2 - 0.275, abs=1e-12)


def test_hubs_deceive_cosine_and_not_csls():
    # Clusters of ten words; in the target each cluster has its centre as a word, too.
    centres = rows_of(15, 30, 1)
    rows = np.repeat(centres, 10, axis=0) + 0.8 * rows_of(150, 30, 2)
    target = np.vstack([rows + 1.2 * rows_of(150, 30, 3), centres]) @ turn(30)
    result = align(keyed(rows), keyed(target, "t"), entries(range(150)), permutations=0)
    assert result["accuracy"]["csls"]["1"] > result["accuracy"]["cosine"]["1"] + 0.2


def test_different_dimensions():
    rows = rows_of(200, 4)
    wide = np.hstack([rows, np.zeros((200, 3))]) @ turn(7)
    for a, b in ((rows, wide), (wide, rows)):
        result = align(keyed(a), keyed(b, "t"), entries(range(80)), permutations=0)
        assert result["dim"] == 7
        # Not csls: where words are dense it may prefer another word to an exact copy.
        assert result["accuracy"]["cosine"]["1"] == 1.0
        assert result["pair_cosine"] == pytest.approx(1, abs=1e-6)
        assert {pair["cosine_before"] for pair in result["pairs"]} == {None}


def test_cosine_before_is_that_of_the_vectors_as_they_are(noisy):
    source, target, dictionary = noisy
    result = align(source, target, dictionary, permutations=0)
    for i, pair in enumerate(result["pairs"]):
        a, b = source[i].astype(float), target[i].astype(float)
        expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert pair["cosine_before"] == pytest.approx(expected, abs=1e-12)


def test_a_word_is_asked_of_a_map_that_has_not_seen_it(noisy):
    # A wrong entry moves the map of all other folds, never that of its own.
    source, target, dictionary = noisy
    lie = [*dictionary[:20], ("s20", "t190"), *dictionary[21:]]
    honest, lied = (
        align(source, target, d, permutations=0, pairs=dictionary) for d in (dictionary, lie)
    )
    fold = random_folds(80, 5, np.random.default_rng([1, 0]))
    for i, (one, other) in enumerate(zip(honest["pairs"], lied["pairs"], strict=True)):
        assert (one["cosine_after"] == other["cosine_after"]) == (fold[i] == fold[20])
    assert lied["pairs"][20]["in_dictionary"] is False
    assert lied["pairs"][19]["in_dictionary"] is True


def test_a_pair_outside_the_dictionary_is_asked_of_the_map_of_all(noisy):
    source, target, dictionary = noisy
    result = align(source, target, dictionary, pairs=[("s120", "t120")], permutations=0)
    [pair] = result["pairs"]
    mapped, other = aligned_spaces(source, target, dictionary)
    assert pair["in_dictionary"] is False
    assert pair["cosine_after"] == pytest.approx(float(mapped[120] @ other[120]), abs=1e-6)
    with pytest.raises(UnknownWordError, match="unknown word 't999'"):
        align(source, target, dictionary, pairs=[("s1", "t999")])


def test_aligned_spaces_are_ready_for_cosines(noisy):
    source, target, dictionary = noisy
    mapped, other = aligned_spaces(source, target, dictionary)
    assert (mapped.words, other.words) == (source.words, target.words)
    x, y = (unit_rows(k.vectors.astype(float) - k.vectors.mean(0, float)) for k in (source, target))
    u, _, vt = np.linalg.svd(x[:80].T @ y[:80])
    assert mapped.vectors == pytest.approx(x @ u @ vt, abs=1e-6)
    assert other.vectors == pytest.approx(y, abs=1e-6)
    assert mapped.vectors.dtype == other.vectors.dtype == np.float32


def test_targets_of_a_word_count_once_and_share_a_fold():
    rows = rows_of()
    dictionary = [p for i in range(60) for p in ((f"s{i}", f"t{199 - i}"), (f"s{i}", f"t{i}"))]
    result = align(keyed(rows), keyed(rows @ turn(6), "t"), dictionary, permutations=0)
    assert (result["pairs_covered"], result["source_words"]) == (120, 60)
    assert result["accuracy"]["csls"]["1"] > 0.5
    fold = {}
    for pair in result["pairs"]:
        fold.setdefault(pair["source"], set()).add(tuple(pair["neighbors"]))
    assert {len(answers) for answers in fold.values()} == {1}


def test_permutation_shuffles_targets_alone():
    rows = unit_rows(rows_of(40, 3)).astype(np.float32)
    pairs = Pairs(np.arange(20), np.arange(20), np.arange(20) % 4)
    observed = held_out.outcome(Translator(rows, rows, 5), pairs)
    test = held_out.permutation_test(observed, [observed, observed])
    assert (test["p_value"], test["n"]) == (1.0, 2)  # as good as the observed counts as good
    assert test["accuracy_mean"] == test["accuracy_max"] == 1.0
    worse = held_out.outcome(
        Translator(rows, rows, 5), Pairs(np.arange(20), np.roll(np.arange(20), 7), pairs.folds_P)
    )
    test = held_out.permutation_test(observed, [worse, observed, worse])
    assert test["p_value"] == 2 / 4
    assert test["pair_cosine"]["max"] == pytest.approx(1, abs=1e-5)
    assert test["accuracy_10"]["mean"] < 1


def test_coverage_specials_and_repetitions():
    rows = rows_of(60, 3)
    source = KeyedVectors(["<unk>", *(f"s{i}" for i in range(59))], rows, None, (0,))
    target = keyed(rows_of(60, 3, 1), "t")
    dictionary = [
        *entries(range(20)),
        ("s0", "t0"),
        ("<unk>", "t1"),
        ("none", "t2"),
        ("none", "t3"),
        ("s1", "nothing"),
    ]
    result = align(source, target, dictionary, permutations=0)
    assert (result["pairs_in_dictionary"], result["pairs_covered"]) == (24, 20)
    assert result["oov"] == {"source": 2, "target": 1}
    assert result["candidates"] == {"source": 59, "target": 60}
    assert result["warnings"][0].startswith("4 of 24 pairs of the dictionary have a word without")
    assert len(result["warnings"]) == 1
    few = align(source, target, entries(range(14)), permutations=0)["warnings"]
    assert few[0].startswith("14 pairs for 3 dimensions: expected at least 15")


def test_candidates_are_the_most_frequent_and_those_of_the_pairs():
    rows = rows_of(60, 3)
    counts = np.arange(60)
    source, target = keyed(rows, counts=counts), keyed(rows @ turn(3), "t", counts=counts)
    result = align(source, target, entries(range(20)), words=30, k=60, permutations=0)
    assert result["candidates"] == {"source": 50, "target": 50}
    [neighbors] = {frozenset(pair["neighbors"]) for pair in result["pairs"]}
    assert neighbors == {f"t{i}" for i in [*range(20), *range(30, 60)]}


def test_refusals(noisy):
    source, target, dictionary = noisy
    with pytest.raises(InputError, match="9 source words of 9 pairs have a vector on both sides"):
        align(source, target, dictionary[:9])
    with pytest.raises(InputError, match="0 source words of 80 pairs"):
        aligned_spaces(target, source, dictionary)
    with pytest.raises(ConfigError, match="11 folds of 10 source words"):
        align(source, target, dictionary[:10], folds=11)
    with pytest.raises(ConfigError, match="csls is 0"):
        align(source, target, dictionary, csls=0)
    broken = source.vectors.copy()
    broken[150, 0] = np.inf
    with pytest.raises(ArtifactError, match="'s150'"):
        align(keyed(broken), target, dictionary)


def test_the_seed_decides(noisy):
    source, target, dictionary = noisy
    first = align(source, target, dictionary, permutations=3)
    assert align(source, target, dictionary, permutations=3) == first
    assert align(source, target, dictionary, permutations=3, seed=2)["pairs"] != first["pairs"]


@pytest.mark.parametrize(
    ("share", "size", "expected"),
    # The examples of Newcombe 1998 (his method 3).
    [
        (81 / 263, 263, (0.2553, 0.3662)),
        (15 / 148, 148, (0.0624, 0.1605)),
        (0.0, 20, (0.0, 0.1611)),
        (1 / 29, 29, (0.0061, 0.1718)),
    ],
)
def test_wilson_interval_of_published_examples(share, size, expected):
    assert wilson_interval(share, size) == pytest.approx(expected, abs=5e-5)
    reference = binomtest(round(share * size), size).proportion_ci(method="wilson")
    assert wilson_interval(share, size) == pytest.approx(tuple(reference), abs=1e-12)


def test_wilson_interval_stays_between_0_and_1():
    assert wilson_interval(1.0, 20) == pytest.approx([1 - 0.1611, 1.0], abs=5e-5)
    for size in range(1, 60):
        assert wilson_interval(0.0, size)[0] == 0.0
        assert wilson_interval(1.0, size)[1] == 1.0


TEXT = "# 词典\n书\tbook\n\n  猫 cat  \n书\tvolume\n书\tbook\n狗　dog\n"
PAIRS = [("书", "book"), ("猫", "cat"), ("书", "volume"), ("狗", "dog")]


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.encode("gb18030"),
        TEXT.encode("utf-16"),
        gzip.compress(TEXT.encode(), mtime=0),
    ],
)
def test_dictionaries_as_they_come(tmp_path, data):
    path = tmp_path / "dictionary.txt"
    path.write_bytes(data)
    assert read_dictionary(str(path)) == PAIRS


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("书 book\n书\n", (":2: 1 field in '书'", "expected a source word and a target word")),
        ("书 book\n\n书 a book\n", (":3: 3 fields in '书 a book'",)),
        ("书\tbook\tn\n", (":1: 3 fields",)),
        ("书\t\n", (":1: 1 field in",)),
        ("书\t \tbook\n", (":1: 3 fields",)),
        ("# nothing\n\n", (": no pair: expected",)),
        ("", (": no pair: expected",)),
    ],
)
def test_malformed_dictionaries(tmp_path, text, parts):
    path = tmp_path / "d.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        read_dictionary(str(path))
    for part in (str(path), *parts):
        assert part in str(caught.value)
