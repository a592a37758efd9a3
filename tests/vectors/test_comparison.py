"""Comparing spaces: what is the same gives 1, what is not chance, and the noise floor between."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from nplm_cli.errors import ArtifactError, ConfigError, InputError, UnknownWordError
from nplm_cli.vectors import comparison, retrieval
from nplm_cli.vectors.comparison import FOLDS, RSA_WORDS, Space, compare_vectors
from nplm_cli.vectors.keyed import KeyedVectors
from nplm_cli.vectors.noise_floor import (
    MAX_GROUPINGS,
    Agreement,
    NoiseFloor,
    _groupings,
    bootstrap_interval,
    expected,
)
from nplm_cli.vectors.procrustes import random_folds, rotation, unit_rows

MEASURES = ("overlap", "aligned_cosine", "rsa")


def rotated(rows, seed):
    random = np.random.default_rng(seed)
    return rows @ np.linalg.qr(random.standard_normal((rows.shape[1], rows.shape[1])))[0]


def space(rows, name="a", group=None, words=None, counts=None, skip=()):
    words = words or [f"w{i}" for i in range(len(rows))]
    return Space(name, KeyedVectors(words, rows, counts, skip), group or name)


def rows_of(size=200, dim=6, seed=0):
    return np.random.default_rng(seed).standard_normal((size, dim))


def cosines(rows):
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units @ units.T


def nearest_sets(rows, k):
    table = cosines(rows)
    np.fill_diagonal(table, -np.inf)
    return [set(np.argsort(-line, kind="stable")[:k].tolist()) for line in table]


@pytest.fixture(scope="module")
def groups():
    """Two architectures of three seeds: own structure, noise of the seed, axes of their own."""
    base, spaces = rows_of(seed=1), []
    for group in ("one", "two"):
        own = base + 0.8 * rows_of(seed=10 + len(spaces))
        spaces += [
            space(rotated(own + 0.3 * rows_of(seed=20 + len(spaces) + s), s), f"{group}{s}", group)
            for s in range(3)
        ]
    return compare_vectors(spaces, k=5, resamples=300, of_words=["w7"]), spaces


def test_a_turned_shifted_scaled_copy_is_the_same():
    # The rotation alone for the neighbours; centring takes care of the shift.
    rows = rows_of(seed=3)
    [pair] = compare_vectors([space(rows), space(7.5 * rotated(rows, 4), "b")])["pairs"]
    assert [pair[m] for m in MEASURES] == pytest.approx([1, 1, 1], abs=1e-6)
    assert pair["overlap"] == 1
    [pair] = compare_vectors([space(rows), space(rotated(rows, 4) + 2.0, "b")])["pairs"]
    assert pair["aligned_cosine"] == pytest.approx(1, abs=1e-6)
    assert pair["overlap"] < 0.9  # neighbours by cosine are seen from the origin


def test_a_permuted_copy_is_chance():
    rows = rows_of(1000, 10)
    shuffled = np.random.default_rng(5).permutation(rows)
    result = compare_vectors([space(rows), space(shuffled, "b")])
    [pair] = result["pairs"]
    assert result["chance"]["overlap"] == 10 / 999
    assert pair["overlap"] == pytest.approx(10 / 999, abs=0.004)
    assert pair["aligned_cosine"] == pytest.approx(0, abs=0.05)
    assert pair["rsa"] == pytest.approx(0, abs=0.02)


def test_a_rotation_finds_agreement_in_noise_unless_words_are_held_out():
    a, b = rows_of(40, 10, seed=1), rows_of(40, 10, seed=2)
    [pair] = compare_vectors([space(a), space(b, "b")])["pairs"]
    units = [unit_rows(x - x.mean(0)) for x in (a, b)]
    fitted = float((units[0] @ rotation(units[0].T @ units[1]) * units[1]).sum(1).mean())
    assert fitted > 0.35
    assert abs(pair["aligned_cosine"]) < 0.15


def test_figures_are_those_of_brute_force():
    a, b = rows_of(120, 5, seed=1), rows_of(120, 5, seed=1) + rows_of(120, 5, seed=2)
    [pair] = compare_vectors([space(a), space(b, "b")], k=4, seed=9)["pairs"]
    shared = [len(x & y) / 4 for x, y in zip(nearest_sets(a, 4), nearest_sets(b, 4), strict=True)]
    assert pair["overlap"] == pytest.approx(np.mean(shared), abs=1e-12)
    upper = np.triu_indices(120, 1)
    a32, b32 = a.astype(np.float32).astype(float), b.astype(np.float32).astype(float)
    rho = spearmanr(cosines(a32)[upper], cosines(b32)[upper]).statistic
    assert pair["rsa"] == pytest.approx(rho, abs=1e-9)
    folds = random_folds(120, FOLDS, np.random.default_rng([9, 0]))
    x, y = (unit_rows(rows - rows.mean(0)) for rows in (a32, b32))
    found = []
    for fold in range(FOLDS):
        u, _, vt = np.linalg.svd(x[folds != fold].T @ y[folds != fold])
        found += (((x[folds == fold] @ u) @ vt) * y[folds == fold]).sum(1).tolist()
    assert pair["aligned_cosine"] == pytest.approx(np.mean(found), abs=1e-9)


@pytest.mark.parametrize(
    ("size", "dims"), [(203, (9, 9)), (120, (4, 7)), (120, (7, 4)), (40, (8, 8))]
)
def test_held_out_cosines_are_those_of_five_fits_from_scratch(size, dims):
    base = rows_of(size, 10, seed=1)
    a, b = (
        unit_rows(base[:, :dim] + rows_of(size, dim, seed=dim + i)) for i, dim in enumerate(dims)
    )
    folds = random_folds(size, FOLDS, np.random.default_rng(4))
    wide = max(dims)
    x, y = (np.hstack([rows, np.zeros((size, wide - rows.shape[1]))]) for rows in (a, b))
    expected = np.empty(size)
    for fold in range(FOLDS):
        held = folds == fold
        u, _, vt = np.linalg.svd(x[~held].T @ y[~held])
        expected[held] = ((x[held] @ u @ vt) * y[held]).sum(1)
    assert comparison._held_out_cosines(a, b, folds) == pytest.approx(expected, abs=1e-9)


def test_spaces_of_different_dimension():
    rows = rows_of(300, 4)
    wide = rotated(np.hstack([rows, np.zeros((300, 3))]), 1)
    for spaces in ([space(rows), space(wide, "b")], [space(wide), space(rows, "b")]):
        result = compare_vectors(spaces)
        assert [result["pairs"][0][m] for m in MEASURES] == pytest.approx([1, 1, 1], abs=1e-6)


def test_too_few_words_for_a_rotation():
    result = compare_vectors([space(rows_of(30, 13)), space(rows_of(30, 13, 1), "b")], k=5)
    [pair], [group_pair] = result["pairs"], result["group_pairs"]
    assert pair["aligned_cosine"] is None
    assert pair["reasons"]["aligned_cosine"].startswith("24 words to fit a rotation of 13")
    assert group_pair["aligned_cosine"]["between"] is None
    assert group_pair["aligned_cosine"]["reason"] == pair["reasons"]["aligned_cosine"]
    enough = compare_vectors([space(rows_of(30, 12)), space(rows_of(30, 12, 1), "b")], k=5)
    assert enough["pairs"][0]["aligned_cosine"] is not None


def test_equal_cosines_have_no_ranks():
    alike = np.tile([[1.0, 2.0]], (30, 1))
    [pair] = compare_vectors([space(alike), space(rows_of(30, 2), "b")], k=3)["pairs"]
    assert pair["rsa"] is None
    assert "all cosines of a space are equal" in pair["reasons"]["rsa"]


def test_within_and_between(groups):
    result, spaces = groups
    assert result["groups"] == ["one", "two"]
    assert result["warnings"] == []
    [group_pair] = result["group_pairs"]
    for measure in MEASURES:
        inside, between = {"one": [], "two": []}, []
        for pair in result["pairs"]:
            of = [spaces[pair[i]].group for i in "ab"]
            assert pair["same_group"] == (of[0] == of[1])
            (inside[of[0]] if of[0] == of[1] else between).append(pair[measure])
        assert (len(between), *map(len, inside.values())) == (9, 3, 3)
        figure = group_pair[measure]
        means = np.mean(inside["one"]), np.mean(inside["two"])
        floor = min(means) if measure == "overlap" else math.sqrt(means[0] * means[1])
        assert figure["between"] == pytest.approx(np.mean(between), abs=1e-12)
        assert figure["floor"] == pytest.approx(floor, abs=1e-12)
        assert figure["difference"] == pytest.approx(np.mean(between) - floor, abs=1e-12)
        assert figure["between_range"] == [min(between), max(between)]
        assert figure["floor_range"] == [
            min(inside["one"] + inside["two"]),
            max(inside["one"] + inside["two"]),
        ]
        assert figure["below_floor"] is True
        assert figure["reason"] is None
        assert result["within"]["one"][measure] == pytest.approx(np.mean(inside["one"]), abs=1e-12)
        if measure == "rsa":
            assert figure["interval_95"] is None
        else:
            low, high = figure["interval_95"]
            assert low < figure["difference"] < high < 0
    assert result["within"]["two"]["runs"] == 3


def test_groups_of_the_same_structure_are_not_below_the_floor():
    base = rows_of(seed=1)
    spaces = [
        space(rotated(base + 0.3 * rows_of(seed=30 + i), i), f"r{i}", "ab"[i % 2]) for i in range(6)
    ]
    result = compare_vectors(spaces, resamples=200)
    [pair] = result["group_pairs"]
    for measure in MEASURES:
        assert pair[measure]["below_floor"] is False
        assert abs(pair[measure]["difference"]) < 0.02
    # Of 200 words one differs a lot all the same: no more than in other groupings.
    [differing] = result["most_different_words"]
    most = differing["words"][0]
    assert 0.5 < (most["floor"] - most["between"]) / differing["by_chance"] < 1.2
    [differing] = compare_vectors(spaces[:1] * 2 + spaces[1:2] * 2)["most_different_words"]
    assert differing["by_chance"] is not None


def test_a_noisier_group_is_not_taken_for_another_structure():
    """What is between two groups is noise alone, but there is much more of it in one of them."""
    random, base = np.random.default_rng(3), rows_of(500, 10, seed=2)
    spaces = [
        space(rotated(base + noise * random.standard_normal(base.shape), i), f"{group}{i}", group)
        for group, noise in (("a", 0.2), ("b", 1.2))
        for i in range(3)
    ]
    result = compare_vectors(spaces, resamples=100)
    [pair] = result["group_pairs"]
    for measure in MEASURES:
        inside = [result["within"][group][measure] for group in "ab"]
        assert inside[0] > 2 * inside[1]  # their plain mean would lie far above what is between
        assert pair[measure]["difference"] > -0.015
        assert pair[measure]["below_floor"] is False
    assert abs(pair["aligned_cosine"]["difference"]) < 0.015
    assert abs(pair["rsa"]["difference"]) < 0.015


def test_noise_alone_of_means_below_zero_is_the_lower():
    assert expected("rsa", 0.9, 0.4) == pytest.approx(0.6, abs=1e-12)
    assert expected("rsa", 0.9, -0.1) == -0.1
    assert expected("overlap", 0.9, 0.4) == 0.4


def test_words_that_differ_most_beyond_the_floor():
    base = rows_of(150, 8, seed=1)
    moved = base.copy()
    moved[[5, 50]] = 3 * rows_of(2, 8, seed=99)
    spaces = [
        space(rotated(rows + 0.01 * rows_of(150, 8, seed=40 + 2 * i + j), i), f"{i}{j}", f"g{i}")
        for i, rows in enumerate((base, moved))
        for j in range(2)
    ]
    result = compare_vectors(spaces, resamples=100, of_words=["w50", "w3"])
    [differing] = result["most_different_words"]
    assert (differing["a"], differing["b"], len(differing["words"])) == ("g0", "g1", 10)
    assert {record["word"] for record in differing["words"][:2]} == {"w5", "w50"}
    losses = [record["floor"] - record["between"] for record in differing["words"]]
    assert losses == sorted(losses, reverse=True)
    assert losses[1] > 3 * differing["by_chance"] > 0
    asked, *within = result["of_words"]
    assert [(record["a"], record["b"]) for record in within] == [("g0", "g0"), ("g1", "g1")]
    assert [record["word"] for record in asked["words"]] == ["w50", "w3"]
    assert asked["words"][0] in differing["words"]
    assert asked["words"][0]["floor"] == pytest.approx(
        np.mean([record["words"][0]["between"] for record in within]), abs=1e-12
    )
    assert asked["words"][1]["between"] > 0.8


def test_no_second_seed_no_floor(groups):
    _, spaces = groups
    result = compare_vectors([spaces[0], spaces[3], spaces[4]], of_words=["w7"])
    [pair] = result["group_pairs"]
    assert pair["overlap"]["floor"] is pair["overlap"]["below_floor"] is None
    assert pair["overlap"]["between"] > 0
    assert pair["overlap"]["reason"] == "one run of one: no noise floor"
    assert result["within"]["one"] == dict.fromkeys(MEASURES) | {"runs": 1}
    assert result["within"]["two"]["overlap"] > 0
    assert "no noise floor for one: " in result["warnings"][0]
    assert result["most_different_words"] == []
    assert result["of_words"][0]["words"][0]["floor"] is None


def test_the_words_compared():
    rows = rows_of(60, 3)
    words = ["<unk>", "</s>", *(f"w{i}" for i in range(58))]
    counts = [900, 800, *range(58)]
    spaces = [
        space(rows[:58], "a", words=words[2:]),
        space(rows, "b", words=words, counts=counts, skip=(0, 1)),
    ]
    result = compare_vectors(spaces, k=3, words=20, of_words=["w57", "w38"])
    assert (result["words"], result["common_words"]) == (20, 58)
    assert [s["words"] for s in result["spaces"]] == [58, 58]
    assert result["vocabulary_note"] == (
        "the 20 most frequent of 58 words common to 2 spaces of 58 words"
    )
    with pytest.raises(UnknownWordError, match="'w37' is not among the 20 most frequent"):
        compare_vectors(spaces, k=3, words=20, of_words=["w37"])
    with pytest.raises(UnknownWordError, match="unknown word 'w99'"):
        compare_vectors(spaces, k=3, of_words=["w99"])
    with pytest.raises(UnknownWordError, match="unknown word '<unk>'"):
        compare_vectors(spaces, k=3, of_words=["<unk>"])


def test_neighbours_are_sought_among_common_words():
    rows = rows_of(60, 3)
    more = np.vstack([rows, rows + 1e-3])
    result = compare_vectors([space(rows), space(more, "b")], k=5)
    assert result["pairs"][0]["overlap"] == 1
    assert result["vocabulary_note"] == "60 words common to 2 spaces of 60 to 120 words"


def test_refusals():
    rows = rows_of(30, 3)
    with pytest.raises(ConfigError, match="expected two or more"):
        compare_vectors([space(rows)])
    with pytest.raises(InputError, match="19 words are common to a, b: expected at least 20"):
        compare_vectors([space(rows), space(rows[:19], "b")])
    with pytest.raises(ConfigError, match="k is 29: expected 1 to 28"):
        compare_vectors([space(rows), space(rows, "b")], k=29)
    with pytest.raises(ConfigError, match="expected at least 20"):
        compare_vectors([space(rows), space(rows, "b")], words=19)
    broken = rows.copy()
    broken[4, 1] = np.nan
    with pytest.raises(ArtifactError, match="'w4'"):
        compare_vectors([space(rows), space(broken, "b")])


def test_the_seed_decides(groups):
    result, spaces = groups
    again = compare_vectors(spaces, k=5, resamples=300, of_words=["w7"])
    assert again == result
    other = compare_vectors(spaces, k=5, resamples=300, seed=2)
    assert other["pairs"][0]["aligned_cosine"] != result["pairs"][0]["aligned_cosine"]
    assert other["pairs"][0]["overlap"] == result["pairs"][0]["overlap"]


def test_rsa_samples_a_large_vocabulary():
    rows = rows_of(RSA_WORDS + 100, 3)
    result = compare_vectors([space(rows), space(rotated(rows, 1), "b")])
    assert result["rsa_words"] == RSA_WORDS
    assert result["pairs"][0]["rsa"] == pytest.approx(1, abs=1e-6)


def test_progress_runs_to_its_end():
    events = []
    rows = rows_of(30, 3)
    compare_vectors([space(rows), space(rows, "b"), space(rows, "c")], on_event=events.append)
    assert [event.done for event in events] == list(range(7))
    assert {event.total for event in events} == {6}


def test_procrustes_of_a_known_rotation():
    angle = math.pi / 6
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    rows = rows_of(9, 2)
    assert rotation(rows.T @ (rows @ turn)) == pytest.approx(turn, abs=1e-12)
    # A scaled or noisy counterpart gives an orthogonal matrix still.
    noisy = rotation(rows.T @ (3 * rows @ turn + rows_of(9, 2, 7)))
    assert noisy @ noisy.T == pytest.approx(np.eye(2), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 7).flatmap(
        lambda rows: st.tuples(
            st.lists(
                st.lists(st.sampled_from([0.0, 1.0, -1.0, 0.5]), min_size=rows, max_size=rows),
                min_size=1,
                max_size=4,
            ),
            st.integers(1, rows),
        )
    )
)
def test_top_rows_and_ranks_follow_one_rule_of_ties(given_table):
    table, k = np.array(given_table[0], np.float32), given_table[1]
    expected = np.argsort(-table, axis=1, kind="stable")
    assert retrieval.top_rows(table, k).tolist() == expected[:, :k].tolist()
    for place in range(table.shape[1]):
        assert set(retrieval.ranks_of(table, expected[:, place]).tolist()) == {place + 1}


def test_blocks_change_nothing(monkeypatch):
    units = unit_rows(rows_of(90, 4)).astype(np.float32)
    whole = retrieval.neighbor_rows(units, 7), retrieval.mean_of_top(units, units[:50], 7)
    monkeypatch.setattr(retrieval, "_BLOCK_SCORES", 200)
    assert len(list(retrieval.query_blocks(90, 90))) == 45
    assert retrieval.neighbor_rows(units, 7).tolist() == whole[0].tolist()
    assert retrieval.mean_of_top(units, units[:50], 7) == pytest.approx(whole[1], abs=1e-6)


def test_bootstrap_of_a_mean():
    values = rows_of(400, 1)[:, 0]
    both = np.stack([values, np.full(400, 0.25)])
    low, high = bootstrap_interval(both, lambda m: m[0] - m[1], 4000, np.random.default_rng(1))
    half, mean = 1.96 * values.std() / math.sqrt(400), values.mean() - 0.25
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.01)


def test_pairs_of_one_seed_do_not_count_between_groups():
    # Two architectures that keep a trace of the same first vectors: seed by seed more alike.
    base, spaces = rows_of(seed=1), []
    for number, group in enumerate(("one", "two")):
        for seed in (1, 2):
            trace = rows_of(seed=30 + seed) + 0.5 * rows_of(seed=40 + 2 * number + seed)
            spaces.append(replace(space(base + trace, f"{group}{seed}", group), seed=seed))
    result = compare_vectors(spaces, k=5, resamples=100)
    by_seed = {
        p["a"] % 2 == p["b"] % 2: p["overlap"] for p in result["pairs"] if not p["same_group"]
    }
    assert by_seed[True] > by_seed[False] + 0.1
    others = [
        p["overlap"] for p in result["pairs"] if not p["same_group"] and p["a"] % 2 != p["b"] % 2
    ]
    [pair] = result["group_pairs"]
    assert pair["overlap"]["between"] == pytest.approx(sum(others) / 2, abs=1e-12)
    assert pair["overlap"]["between_range"] == [min(others), max(others)]
    # Seeds unknown, or only one of them: every pair counts.
    for kept in ([replace(s, seed=None) for s in spaces], spaces[::2]):
        result = compare_vectors(kept, k=5, resamples=100)
        every = [p["overlap"] for p in result["pairs"] if not p["same_group"]]
        assert result["group_pairs"][0]["overlap"]["between"] == pytest.approx(
            sum(every) / len(every), abs=1e-12
        )


def test_many_seeds_are_grouped_anew_in_a_few_ways_only():
    random = np.random.default_rng(1)
    groups = ["a"] * 12 + ["b"] * 12  # 2.7 million ways
    agreements = [
        Agreement(i, j, {}, {"overlap": random.uniform(size=5)}, {})
        for i, j in itertools.combinations(range(24), 2)
    ]
    floor = NoiseFloor(groups, [None] * 24, agreements)
    [differing] = floor.most_different(list("vwxyz"))
    assert 0 < differing["by_chance"] < 0.5
    drawn = list(_groupings(range(24), 12))
    assert len(drawn) == MAX_GROUPINGS
    assert all(len(one) == 12 and 0 in one for one in drawn)
    assert len({frozenset(one) for one in drawn}) == MAX_GROUPINGS
    assert len(list(_groupings(range(6), 3))) == 20
