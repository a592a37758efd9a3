"""The ledger against sums written out again, and its corners."""

import json
import math

import numpy as np
import pytest

from nplm_cli.cli.score_formats import SrilmTotals
from nplm_cli.evaluation.ledger import Baselines, UnknownTypes, ledger, perplexity
from nplm_cli.evaluation.significance import paired_bootstrap_ratio

KNOWN = UnknownTypes(250, None)
LITERAL = UnknownTypes(None, "<unk> stands in the text itself")


@pytest.fixture(scope="module")
def part(make_part):
    random = np.random.default_rng(3)
    sentences = [random.choice([0, 2, 3, 4, 5], random.integers(0, 12)).tolist() for _ in range(40)]
    return make_part(sentences[:25], sentences[25:], characters=431)


@pytest.fixture(scope="module")
def nll_N(part):
    return np.random.default_rng(4).exponential(4.0, part.predictions)


@pytest.fixture(scope="module")
def baselines(part):
    random = np.random.default_rng(5)
    return Baselines(
        random.exponential(6.0, part.predictions),
        random.exponential(5.0, part.predictions),
        3,
        ("n",),
    )


def of(part, nll_N, unknown=KNOWN, **settings):
    return ledger(part, nll_N, context="sentence", order=5, unknown=unknown, **settings)


def test_every_figure_from_the_predictions(part, nll_N, baselines):
    """One prediction at a time, in the words of the definitions."""
    result = of(part, nll_N, baselines=baselines)
    nats = eos_nats = oov_nats = 0.0
    words = oov = sentences = 0
    for i, nll in zip(part.ids_N.tolist(), nll_N.tolist(), strict=True):
        nats += nll
        if i == 1:
            sentences += 1
            eos_nats += nll
        else:
            words += 1
        if i == 0:
            oov += 1
            oov_nats += nll
    adjusted = nats + oov * math.log(250)
    expected = {
        "schema": 1,
        "context": "sentence",
        "order": 5,
        "stride": None,
        "words": words,
        "sentences": sentences,
        "predictions": words + sentences,
        "oov": oov,
        "oov_share": oov / words,
        "characters": 431,
        "nll_nats_total": nats,
        "zero_probability": 0,
        "ppl": math.exp(nats / (words + sentences)),
        "ppl_without_eos": math.exp((nats - eos_nats) / words),
        "ppl_excluding_oov": math.exp((nats - oov_nats) / (words + sentences - oov)),
        "ppl_oov_adjusted": math.exp(adjusted / (words + sentences)),
        "oov_adjusted_reason": None,
        "bits_per_char": adjusted / math.log(2) / (431 + sentences),
    }
    for key, value in expected.items():
        close = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        assert result[key] == close, key
    found = result["baselines"]
    assert (found["always_unk_accuracy"], found["notes"]) == (
        pytest.approx(oov / (words + sentences), rel=1e-9), ["n"],
    )  # fmt: skip
    for name, own_N, order in (
        ("unigram", baselines.unigram_N, 1), ("kneser_ney", baselines.kneser_ney_N, 3),
    ):  # fmt: skip
        # The figures of a baseline are those that the same nats would have as a model.
        alone = of(part, own_N)
        figures = ("ppl", "ppl_without_eos", "ppl_excluding_oov", "ppl_oov_adjusted",
                   "bits_per_char", "nll_nats_total")  # fmt: skip
        assert found[name] == {figure: alone[figure] for figure in figures} | {"order": order}
        nats = float(sum(own_N.tolist()))
        assert found[name]["ppl"] == pytest.approx(math.exp(nats / (words + sentences)), rel=1e-9)
    ratio = result["ppl_ratio_to_kneser_ney"]
    assert ratio["ratio"] == pytest.approx(
        result["ppl"] / result["baselines"]["kneser_ney"]["ppl"], rel=1e-9
    )
    low, high = ratio["interval_95"]
    assert low < ratio["ratio"] < high
    assert set(result) == {*expected, "baselines", "ppl_ratio_to_kneser_ney"}
    json.dumps(result, allow_nan=False)


def test_adjustment_makes_oov_no_gift(part, nll_N):
    result = of(part, nll_N)
    assert result["ppl_oov_adjusted"] > result["ppl"]
    one = of(part, nll_N, UnknownTypes(1, None))
    assert one["ppl_oov_adjusted"] == pytest.approx(one["ppl"], rel=1e-12)


def test_a_literal_unk_has_no_adjusted_figure(part, nll_N):
    result = of(part, nll_N, LITERAL)
    assert result["ppl_oov_adjusted"] is None
    assert result["bits_per_char"] is None
    assert result["oov_adjusted_reason"] == LITERAL.reason
    assert result["ppl"] == of(part, nll_N)["ppl"]


def test_without_oov_nothing_is_to_adjust(make_part):
    part = make_part([[2, 3], [4]], characters=7)
    nll_N = np.arange(1.0, 6.0)
    for unknown in (KNOWN, LITERAL):
        result = of(part, nll_N, unknown)
        assert (result["oov"], result["oov_share"]) == (0, 0)
        assert result["ppl"] == result["ppl_oov_adjusted"] == result["ppl_excluding_oov"]
        assert result["oov_adjusted_reason"] is None
        assert result["bits_per_char"] == pytest.approx(15 / math.log(2) / 9, rel=1e-12)


def test_a_text_of_unknown_words_alone(make_part):
    result = of(make_part([[0, 0]]), np.ones(3))
    assert result["oov_share"] == 1
    assert result["ppl_excluding_oov"] == pytest.approx(math.e)


def test_empty_sentences_alone(make_part):
    result = of(make_part([[], []]), np.ones(2))
    assert (result["words"], result["sentences"], result["oov_share"]) == (0, 2, 0.0)
    assert result["ppl_without_eos"] is None
    assert result["ppl"] == pytest.approx(math.e)


def test_nothing_at_all(make_part):
    empty = np.zeros(0)
    result = of(make_part(), empty, baselines=Baselines(empty, empty, 3))
    assert result["predictions"] == 0
    for key in ("ppl", "ppl_without_eos", "ppl_excluding_oov", "bits_per_char"):
        assert result[key] is None, key
    assert result["ppl_ratio_to_kneser_ney"] is None
    json.dumps(result, allow_nan=False)


def test_a_prediction_of_probability_0(part, nll_N, baselines):
    broken = nll_N.copy()
    broken[7] = np.inf
    result = of(part, broken, baselines=baselines)
    assert result["zero_probability"] == 1
    for key in ("ppl", "nll_nats_total", "ppl_without_eos", "ppl_oov_adjusted", "bits_per_char"):
        assert result[key] is None, key
    assert result["ppl_ratio_to_kneser_ney"] is None
    json.dumps(result, allow_nan=False)


def test_probability_0_of_unknown_words_only(make_part):
    result = of(make_part([[0, 2]]), np.array([np.inf, 1.0, 2.0]))
    assert result["ppl"] is None
    assert result["ppl_excluding_oov"] == pytest.approx(math.exp(1.5))


def test_a_hopeless_model_has_a_ledger(part, baselines):
    """800 nats a word are no number for exp; the ledger stands all the same."""
    result = of(part, np.full(part.predictions, 800.0), baselines=baselines)
    assert result["ppl"] is None
    assert result["nll_nats_total"] == pytest.approx(800 * part.predictions)
    json.dumps(result, allow_nan=False)


def test_perplexity():
    assert perplexity(math.log(7) * 3, 3) == pytest.approx(7, rel=1e-14)
    assert perplexity(0.0, 0) is None
    assert perplexity(math.inf, 3) is None
    assert perplexity(math.nan, 3) is None
    assert perplexity(1e6, 3) is None


def test_a_uniform_model_has_perplexity_v(part):
    result = of(part, np.full(part.predictions, math.log(1000)))
    for key in ("ppl", "ppl_without_eos", "ppl_excluding_oov"):
        assert result[key] == pytest.approx(1000, rel=1e-12)


def test_float32_is_summed_in_float64(make_part):
    part = make_part([[2] * 1000] * 200)
    nll_N = np.full(part.predictions, 0.1, np.float32)
    nll_N[0] = 2**24
    exact = 2**24 + float(np.float32(0.1)) * (part.predictions - 1)
    assert of(part, nll_N)["nll_nats_total"] == pytest.approx(exact, rel=1e-12)


# --- the interval -------------------------------------------------------------------------------


def test_a_model_equal_to_kneser_ney_has_ratio_exactly_1(part, baselines):
    result = of(part, baselines.kneser_ney_N, baselines=baselines)
    assert result["ppl_ratio_to_kneser_ney"] == {"ratio": 1.0, "interval_95": [1.0, 1.0]}


def test_the_interval_is_decided_by_the_seed(part, nll_N, baselines):
    first = of(part, nll_N, baselines=baselines, seed=1)
    assert first == of(part, nll_N, baselines=baselines, seed=1)
    other = of(part, nll_N, baselines=baselines, seed=2)
    assert first["ppl_ratio_to_kneser_ney"] != other["ppl_ratio_to_kneser_ney"]
    assert first["ppl"] == other["ppl"]


def test_one_sentence_has_no_interval(make_part):
    part = make_part([[2, 3]])
    result = of(part, np.ones(3), baselines=Baselines(np.ones(3), np.full(3, 2.0), 3))
    assert result["ppl_ratio_to_kneser_ney"]["ratio"] == pytest.approx(math.exp(-1))
    assert result["ppl_ratio_to_kneser_ney"]["interval_95"] is None


def ratio_of(a, b, n, seed=0, **settings):
    return paired_bootstrap_ratio(a, b, n, random=np.random.default_rng(seed), **settings)


def test_a_constant_difference_has_no_width():
    n = np.random.default_rng(1).integers(1, 20, 50)
    b = np.random.default_rng(2).exponential(5.0, 50) * n
    ratio, interval = ratio_of(b + 0.25 * n, b, n)
    assert ratio == pytest.approx(math.exp(0.25), rel=1e-12)
    assert interval == (pytest.approx(math.exp(0.25)), pytest.approx(math.exp(0.25)))


def test_the_interval_is_that_of_the_mean():
    """Sentences of one length: the bootstrap's spread is the standard error of the mean."""
    random = np.random.default_rng(3)
    differences = random.normal(0.1, 0.5, 4000)
    n = np.full(4000, 1)
    _, (low, high) = ratio_of(differences, np.zeros(4000), n)
    error = 1.96 * differences.std() / math.sqrt(4000)
    assert math.log(low) == pytest.approx(differences.mean() - error, abs=0.15 * error)
    assert math.log(high) == pytest.approx(differences.mean() + error, abs=0.15 * error)


def test_blocks_of_resamples_change_nothing(monkeypatch):
    from nplm_cli.evaluation import significance

    random = np.random.default_rng(4)
    a, b, n = random.random(30), random.random(30), random.integers(1, 9, 30)
    whole = ratio_of(a, b, n)
    monkeypatch.setattr(significance, "_BLOCK_CELLS", 100)
    assert ratio_of(a, b, n) == whole


# --- SRILM's two lines --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("totals", "ppl", "ppl1", "tolerance"),
    [
        # Two published outputs of ``ngram -ppl``.
        (SrilmTotals(sentences=1, words=9, oovs=1, logprob=-20.406), 185.068, 355.42, 2e-5),
        (SrilmTotals(sentences=206, words=3277, logprob=-10986.33), 1426.50, 2251.94, 1e-5),
    ],
)
def test_srilm_formulas(totals, ppl, ppl1, tolerance):
    """ppl = 10^(-logprob / (words - oovs - zeroprobs + sentences)); ppl1 without the sentences."""
    head, tail = totals.lines()
    assert head == f"{totals.sentences} sentences, {totals.words} words, {totals.oovs} OOVs"
    fields = tail.split()
    assert float(fields[fields.index("ppl=") + 1]) == pytest.approx(ppl, rel=tolerance)
    assert float(fields[fields.index("ppl1=") + 1]) == pytest.approx(ppl1, rel=tolerance)


def test_srilm_without_words():
    assert SrilmTotals().lines()[1] == "0 zeroprobs, logprob= 0 ppl= undefined ppl1= undefined"
