"""Ranks, ratios and intervals of a few numbers, added up by hand."""

import math

import numpy as np
import pytest

from nplm_cli.corpus.vocabulary import Vocabulary
from nplm_cli.evaluation.comparability import ScoredText, comparability
from nplm_cli.evaluation.ledger import UnknownTypes, ledger
from nplm_cli.evaluation.ranking import make_entry, rank
from nplm_cli.evaluation.significance import paired_bootstrap_ratio, resampled_sums

# Three sentences of 2, 3 and 1 words; ids: 0 is <unk>.
SENTENCES = [[2, 0], [3, 2, 2], [0]]
NATS_A = [1.0, 2.0, 0.5, 1.0, 1.0, 2.0, 0.25, 3.0, 0.25]
NATS_B = [1.5, 2.0, 0.5, 2.0, 1.0, 1.0, 0.25, 4.0, 1.0]


@pytest.fixture(scope="module")
def scored(make_part):
    def build(nats, *, name="A", words=("甲", "乙"), types=None, sentences=SENTENCES, **settings):
        part = make_part(sentences, characters=9)
        vocabulary = Vocabulary(["<unk>", "</s>", *words], [0] * (len(words) + 2))
        text = ScoredText(name, vocabulary, part, settings.pop("context", "sentence"))
        unknown = UnknownTypes(types, None if types else "<unk> stands in the text itself")
        nll_N = np.array(nats)
        figures = ledger(part, nll_N, context=text.context, order=3, unknown=unknown)
        options = {"resamples": 200, "seed": 1, **settings}
        return text, make_entry({"run": name}, figures, text, nll_N, types, **options)

    return build


def ranking(*pairs):
    texts, entries = zip(*pairs, strict=True)
    return rank(entries, comparability(texts))


def test_ratio_and_interval_by_hand(scored):
    result = ranking(scored(NATS_A), scored(NATS_B, name="B"))
    # By sentence: a 3.5, 4.25, 3.25; b 4, 4.25, 5; predictions 3, 4, 2.
    draws = np.random.default_rng(1).integers(0, 3, (200, 3)).tolist()
    a, b, n = (3.5, 4.25, 3.25), (4.0, 4.25, 5.0), (3, 4, 2)
    means = [sum(b[s] - a[s] for s in draw) / sum(n[s] for s in draw) for draw in draws]
    low, high = np.percentile(means, [2.5, 97.5])
    first, second = result["runs"]
    assert (first["rank"], second["rank"]) == (1, 2)
    assert (result["ranked_by"], result["best"]) == ("ppl", "A")
    assert second["ppl_ratio"]["ratio"] == pytest.approx(math.exp(2.25 / 9), rel=1e-12)
    assert second["ppl_ratio"]["ratio"] == pytest.approx(
        second["ledger"]["ppl"] / first["ledger"]["ppl"], rel=1e-12
    )
    assert second["ppl_ratio"]["interval_95"] == pytest.approx(
        [math.exp(low), math.exp(high)], rel=1e-12
    )
    assert low < 2.25 / 9 < high
    assert first["ppl_ratio"] == {"ratio": 1.0, "interval_95": [1.0, 1.0]}
    assert first["bits_per_char_ratio"] is second["bits_per_char_ratio"] is None
    assert first["reason"] is None


def test_bits_per_character_by_hand(scored):
    """Each of the two <unk> costs ln T more; the characters cancel out of the ratio."""
    other = {"words": ("甲", "乙", "丙"), "types": 5}
    result = ranking(scored(NATS_A, types=20), scored(NATS_B, name="B", **other))
    a = np.array([3.5 + math.log(20), 4.25, 3.25 + math.log(20)])
    b = np.array([4.0 + math.log(5), 4.25, 5.0 + math.log(5)])
    draws = np.random.default_rng(1).integers(0, 3, (200, 3))
    quotients = [a[draw].sum() / b[draw].sum() for draw in draws]
    first, second = result["runs"]
    assert result["ranked_by"] == "bits_per_char"
    assert first["ledger"]["ppl"] < second["ledger"]["ppl"]
    assert (first["rank"], second["rank"], result["best"]) == (2, 1, "B")
    ratio = first["bits_per_char_ratio"]
    assert ratio["ratio"] == pytest.approx(a.sum() / b.sum(), rel=1e-12)
    assert ratio["ratio"] == pytest.approx(
        first["ledger"]["bits_per_char"] / second["ledger"]["bits_per_char"], rel=1e-12
    )
    assert ratio["interval_95"] == pytest.approx(np.percentile(quotients, [2.5, 97.5]), rel=1e-12)
    assert second["bits_per_char_ratio"] == {"ratio": 1.0, "interval_95": [1.0, 1.0]}
    assert first["ppl_ratio"] is None
    assert "different vocabularies" in first["reason"]


def test_pairs_may_be_more_alike_than_all(scored):
    """Two of one vocabulary keep their ratio of perplexities; the ranking uses bits."""
    a, b = scored(NATS_A, types=2), scored(NATS_B, name="B", types=2)
    c = scored(NATS_A, name="C", types=3, words=("甲", "乙", "丙"))
    result = ranking(a, b, c)
    kinds = [[pair["by"] for pair in row] for row in result["pairs"]]
    bits = "bits_per_char"
    assert kinds == [["ppl", "ppl", bits], ["ppl", "ppl", bits], [bits, bits, "ppl"]]
    assert [record["rank"] for record in result["runs"]] == [1, 3, 2]
    for record in result["runs"]:
        assert record["bits_per_char_ratio"]["ratio"] == pytest.approx(
            record["ledger"][bits] / a[1].ledger[bits], rel=1e-12
        )


def test_the_matrix_is_inverse_across_the_diagonal(scored):
    pairs = ranking(scored(NATS_A), scored(NATS_B, name="B"))["pairs"]
    assert [pairs[0][0]["ratio"], pairs[1][1]["ratio"]] == [1.0, 1.0]
    assert pairs[0][1]["ratio"] * pairs[1][0]["ratio"] == pytest.approx(1, rel=1e-12)
    low, high = pairs[0][1]["interval_95"]
    assert [1 / high, 1 / low] == pytest.approx(pairs[1][0]["interval_95"], rel=1e-9)


def test_equal_figures_share_a_rank(scored):
    result = ranking(scored(NATS_B), scored(NATS_A, name="B"), scored(NATS_A, name="C"))
    assert [record["rank"] for record in result["runs"]] == [3, 1, 1]


def test_unlike_policies_have_neither_rank_nor_ratio(scored):
    result = ranking(scored(NATS_A), scored(NATS_B, name="B", context="stream"))
    assert (result["ranked_by"], result["best"]) == (None, None)
    for record in result["runs"]:
        assert record["rank"] is record["ppl_ratio"] is record["bits_per_char_ratio"] is None
        assert record["reason"] == result["reasons"][0]
    pair = result["pairs"][0][1]
    assert pair["by"] is pair["ratio"] is pair["interval_95"] is None
    assert pair["reason"]
    assert result["pairs"][0][0]["ratio"] == 1.0


def test_unk_of_the_text_itself_has_no_bits(scored):
    """One run without adjusted bits is left out; with none left nothing is ranked."""
    other = {"words": ("甲", "乙", "丙"), "name": "B"}
    result = ranking(scored(NATS_A), scored(NATS_B, types=5, **other))
    without, kept = result["runs"]
    assert (without["rank"], kept["rank"], result["ranked_by"]) == (None, 1, "bits_per_char")
    assert "<unk> stands in the text itself" in without["reason"]
    assert "<unk> stands in the text itself" in result["pairs"][1][0]["reason"]
    result = ranking(scored(NATS_A), scored(NATS_B, **other))
    assert result["ranked_by"] is None
    assert [record["rank"] for record in result["runs"]] == [None, None]


def test_probability_zero_is_not_ranked(scored):
    result = ranking(scored([*NATS_A[:-1], math.inf]), scored(NATS_B, name="B"))
    first, second = result["runs"]
    assert (first["rank"], second["rank"]) == (None, 1)
    assert first["reason"] == "1 predictions have probability 0"
    assert result["pairs"][0][1]["ratio"] is None


CERTAIN = [0.0] * 9
KNOWN = [[2, 3], [3, 2, 2], [2]]


def test_a_run_of_no_nats_is_the_best_without_a_ratio(scored):
    """Nothing is a multiple of 0 bits; the other way round the ratio is 0."""
    other = {"words": ("甲", "乙", "丙"), "types": 5, "sentences": KNOWN}
    result = ranking(scored(CERTAIN, types=20, sentences=KNOWN), scored(NATS_B, name="B", **other))
    assert (result["ranked_by"], result["best"]) == ("bits_per_char", "A")
    assert [record["rank"] for record in result["runs"]] == [1, 2]
    for record in result["runs"]:
        assert record["bits_per_char_ratio"] == {"ratio": None, "interval_95": None}
        assert "different vocabularies" in record["reason"]
        assert "A has 0 bits per character: no ratio to it" in record["reason"]
    (_, above), (below, _) = result["pairs"]
    assert above == {
        "by": "bits_per_char", "ratio": 0.0, "interval_95": [0.0, 0.0], "reason": None,
    }  # fmt: skip
    assert below == {
        "by": "bits_per_char", "ratio": None, "interval_95": None,
        "reason": "A has 0 bits per character: no ratio to it",
    }  # fmt: skip
    assert [result["pairs"][i][i]["ratio"] for i in (0, 1)] == [1.0, 1.0]


@pytest.mark.filterwarnings("error")
def test_a_resample_of_no_nats_leaves_no_interval(scored):
    """Two of three sentences are certain: some draws have nothing but them."""
    other = {"words": ("甲", "乙", "丙"), "types": 5, "sentences": KNOWN}
    result = ranking(
        scored([1.0, 0.5, *CERTAIN[2:]], types=20, sentences=KNOWN),
        scored(NATS_B, name="B", **other),
    )
    first, second = result["runs"]
    assert second["bits_per_char_ratio"] == {
        "ratio": pytest.approx(13.25 / 1.5, rel=1e-12),
        "interval_95": None,
    }
    assert first["bits_per_char_ratio"] == {"ratio": 1.0, "interval_95": None}
    assert second["reason"] == result["reasons"][0]
    upper = result["pairs"][0][1]
    assert upper["ratio"] == pytest.approx(1.5 / 13.25, rel=1e-12)
    assert 0 == upper["interval_95"][0] < upper["interval_95"][1]


def test_one_sentence_has_no_interval(scored):
    one = {"sentences": [[2, 0]]}
    result = ranking(scored(NATS_A[:3], **one), scored(NATS_B[:3], name="B", **one))
    assert result["runs"][1]["ppl_ratio"] == {
        "ratio": pytest.approx(math.exp(0.5 / 3), rel=1e-12),
        "interval_95": None,
    }


def test_seed_and_resamples_count(scored):
    def interval(**settings):
        pairs = ranking(scored(NATS_A, **settings), scored(NATS_B, name="B", **settings))["pairs"]
        return pairs[0][1]["interval_95"]

    assert interval() == interval(seed=1)
    assert interval(resamples=21, seed=2) != interval(resamples=21, seed=3)


def test_resampled_one_by_one_is_paired():
    """The same seed draws the same sentences, in blocks too: paired_bootstrap_ratio agrees."""
    random = np.random.default_rng(0)
    a_S, b_S = random.exponential(3, (2, 2500))
    n_S = random.integers(1, 9, 2500)
    sums = [
        resampled_sums([x_S], random=np.random.default_rng(7), resamples=1000)[0]
        for x_S in (a_S, b_S, n_S)
    ]
    low, high = np.exp(np.percentile((sums[0] - sums[1]) / sums[2], [2.5, 97.5]))
    _, interval = paired_bootstrap_ratio(a_S, b_S, n_S, random=np.random.default_rng(7))
    assert interval == pytest.approx((low, high), rel=1e-9)
