"""Generation: stepwise queries agree with whole ones, samples follow the distributions."""

import itertools
import math

import numpy as np
import pytest

from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.vocabulary import EOS_ID, UNK_ID
from nplm_cli.errors import ConfigError
from nplm_cli.query.generate import ROWS, Sampling, generate, join_words

NORMAL_99_9 = 3.0902323  # quantile of the standard normal distribution


def critical(degrees: int) -> float:
    """99.9 % quantile of chi-square, by Wilson & Hilferty (1931): a cube of a normal."""
    ninth = 2 / (9 * degrees)
    return degrees * (1 - ninth + NORMAL_99_9 * math.sqrt(ninth)) ** 3


def assert_follows(counts_V, p_V):
    """Pearson's test; words expected less than five times are one class."""
    n = counts_V.sum()
    assert counts_V[p_V == 0].sum() == 0
    rare = n * p_V < 5
    observed = np.append(counts_V[~rare], counts_V[rare].sum())
    expected = n * np.append(p_V[~rare], p_V[rare].sum())
    observed, expected = observed[expected > 0], expected[expected > 0]
    assert len(expected) > 2
    chi_square = ((observed - expected) ** 2 / expected).sum()
    assert chi_square < critical(len(expected) - 1)


def ids_of(samples):
    return [[token.id for token in sample.tokens] for sample in samples]


# --- stepwise -----------------------------------------------------------------------------------


def test_the_critical_values():
    """Tables of chi-square: 99.9 % quantiles for 5, 10 and 30 degrees of freedom."""
    assert [critical(n) for n in (5, 10, 30)] == pytest.approx([20.515, 29.588, 59.703], rel=0.012)


@pytest.mark.parametrize("first", [[], [4], [3, 0, 9, 2, 5, 2, 7]])
def test_each_row_of_a_step_is_a_history_of_its_own(scorer, first, arrays):
    rows = np.random.default_rng(1).integers(2, 11, (3, 9))
    rows[1, 2] = UNK_ID
    log_p_BV, state = scorer.begin(first, 3)
    for t in range(9):
        assert log_p_BV.shape == (3, 11)
        assert log_p_BV.dtype == np.float64
        assert all(len(piece) == 3 for piece in arrays(state))
        for row in range(3):
            whole = scorer.next_log_probs([*first, *rows[row, :t].tolist()])
            np.testing.assert_allclose(log_p_BV[row], whole, rtol=0, atol=1e-5)
        kept = [piece.copy() for piece in arrays(state)]
        log_p_BV, after = scorer.advance(rows[:, t], state)
        assert all(map(np.array_equal, kept, arrays(state)))  # several may go on from one state
        state = after


def test_next_words_agree_with_scores_of_whole_texts(scorer, make_part):
    """Two ways to the same figure: word by word, and all positions at once."""
    text = [3, 0, 9, 2, 5, 2, 7, 4]
    nll = scorer.nll(make_part([text]), "sentence")
    steps = [-scorer.next_log_probs(text[:t])[i] for t, i in enumerate([*text, EOS_ID])]
    np.testing.assert_allclose(nll, steps, rtol=0, atol=1e-5)


# --- samples ------------------------------------------------------------------------------------


@pytest.mark.parametrize("history", [[], [2, 6]])
def test_greedy_is_the_best_word_step_by_step(scorer, vocabulary, history):
    [sample] = generate(scorer, vocabulary, history, sampling=Sampling(greedy=True), max_length=12)
    so_far = list(history)
    for token in sample.tokens:
        log_p_V = scorer.next_log_probs(so_far)
        log_p_V[UNK_ID] = -np.inf
        assert token.id == log_p_V.argmax()
        so_far.append(token.id)
    assert sample.finished or sample.stuck or len(sample.tokens) == 12


def test_first_words_follow_the_model(scorer, vocabulary):
    p_V = np.exp(scorer.next_log_probs([5]))
    p_V[UNK_ID] = 0
    drawn = generate(scorer, vocabulary, [5], 3000, max_length=1)
    assert_follows(np.bincount([i for [i] in ids_of(drawn)], minlength=11), p_V / p_V.sum())


def test_second_words_follow_the_model(scorer, vocabulary):
    """The state after a word is that word's own: pairs of words have the chain rule's shares."""
    p_V = np.exp(scorer.next_log_probs([]))
    pairs = {}
    for first in range(11):
        after_V = np.exp(scorer.next_log_probs([first])) if first != EOS_ID else np.zeros(11)
        pairs |= {(first, i): p_V[first] * after_V[i] for i in range(11)}
    drawn = ids_of(
        generate(scorer, vocabulary, [], 2500, sampling=Sampling(unk=True), max_length=2)
    )
    found = [tuple(ids) for ids in drawn if len(ids) == 2]
    shares = np.array(list(pairs.values()))
    counts = np.array([found.count(pair) for pair in pairs])
    assert_follows(counts, shares / shares.sum())
    assert len(found) / 2500 == pytest.approx(shares.sum(), abs=0.05)


@pytest.mark.parametrize("name", ["ffn", "kn"])
@pytest.mark.parametrize("unk", [False, True])
def test_temperature_and_top_k(request, counted, vocabulary, name, unk):
    """Temperature 1/2 squares the probabilities; then the four largest remain."""
    scorer = request.getfixturevalue("ffn") if name == "ffn" else counted(name)
    p_V = np.exp(scorer.next_log_probs([7, 3]))
    if not unk:
        p_V[UNK_ID] = 0
    p_V = p_V**2
    p_V[p_V < np.sort(p_V)[-4]] = 0
    sampling = Sampling(temperature=0.5, top_k=4, unk=unk)
    drawn = generate(scorer, vocabulary, [7, 3], 3000, sampling=sampling, max_length=1, seed=2)
    assert_follows(np.bincount([i for [i] in ids_of(drawn)], minlength=11), p_V / p_V.sum())


def test_probabilities_are_the_models_own(ffn, vocabulary):
    """Whatever the temperature and the cuts."""
    sampling = Sampling(temperature=2.0, top_k=5, top_p=0.7)
    for sample in generate(ffn, vocabulary, [4], 20, sampling=sampling, max_length=8):
        history = [4]
        for token in sample.tokens:
            log_p = ffn.next_log_probs(history)[token.id]
            assert token.probability == pytest.approx(math.exp(log_p), abs=1e-6)
            assert token.surprisal_bits == pytest.approx(-log_p / math.log(2), abs=1e-5)
            assert token.token == vocabulary.tokens[token.id]
            history.append(token.id)


def test_the_unknown_word_comes_only_when_asked_for(scorer, vocabulary):
    def ids(unk):
        drawn = generate(scorer, vocabulary, [], 150, sampling=Sampling(unk=unk), max_length=15)
        return set(itertools.chain(*ids_of(drawn)))

    assert UNK_ID not in ids(False)
    assert UNK_ID in ids(True)


def test_a_sample_ends_at_the_end_of_the_sentence_or_at_the_longest(scorer, vocabulary):
    samples = list(generate(scorer, vocabulary, [], 60, max_length=4))
    for sample in samples:
        ids = [token.id for token in sample.tokens]
        assert EOS_ID not in ids[:-1]
        assert sample.finished is (EOS_ID in ids)
        assert sample.finished or sample.stuck or len(ids) == 4
        assert len(sample.words) == len(ids) - sample.finished
    assert {sample.finished for sample in samples} == {True, False}


def test_sample_i_does_not_depend_on_how_many_are_drawn(scorer, vocabulary):
    """To the last bit of each probability, across the bounds of batches."""
    many = list(generate(scorer, vocabulary, [3], 2 * ROWS + 5, max_length=20))
    for n in (1, 2, ROWS, ROWS + 1):
        assert list(generate(scorer, vocabulary, [3], n, max_length=20)) == many[:n]
    assert len({tuple(ids) for ids in ids_of(many)}) > 10


def test_seeds(ffn, vocabulary):
    def text(seed):
        return ids_of(generate(ffn, vocabulary, [], 5, seed=seed))

    assert text(1) == text(1)
    assert len({str(text(seed)) for seed in range(6)}) == 6


def test_a_sample_is_given_as_soon_as_it_is_complete(ffn, vocabulary):
    """Nobody reads beyond the step that completes what was asked for."""
    steps = []
    ffn_advance = ffn.advance

    def advance(ids, state):
        steps.append(1)
        return ffn_advance(ids, state)

    ffn.advance = advance
    drawn = generate(ffn, vocabulary, [], ROWS, max_length=500)
    assert len(steps) == 0
    first = next(drawn)
    assert len(steps) == len(first.tokens) - 1
    longest = max(len(first.tokens), *(len(sample.tokens) for sample in drawn))
    assert len(steps) == longest - 1


def test_relative_frequencies_may_leave_nothing_to_say(counted, vocabulary):
    scorer = counted("mle")
    unseen = next(
        [a, b]
        for a, b in itertools.product(range(2, 11), repeat=2)
        if not np.isfinite(scorer.next_log_probs([a, b])).any()
    )
    [sample] = generate(scorer, vocabulary, unseen)
    assert (sample.tokens, sample.stuck, sample.finished) == ([], True, False)


# --- distributions ------------------------------------------------------------------------------


def kept(p_V, **settings):
    # Id 0 is <unk>, which is never drawn here.
    with np.errstate(divide="ignore"):
        log_p_V = np.log([0.0, *p_V])
    drawn_V = Sampling(**settings).distribution(log_p_V)
    assert drawn_V.sum() == pytest.approx(1, abs=1e-12)
    assert drawn_V[0] == 0
    return drawn_V[1:].tolist()


@pytest.mark.parametrize(
    ("p_V", "top_p", "expected"),
    [
        ([0.5, 0.3, 0.2], 0.8, [0.625, 0.375, 0]),  # reached exactly
        ([0.5, 0.3, 0.2], 0.81, [0.5, 0.3, 0.2]),  # the word that crosses stays
        ([0.5, 0.3, 0.2], 0.5, [1, 0, 0]),
        ([0.5, 0.3, 0.2], 1e-9, [1, 0, 0]),  # never empty
        ([0.2, 0.3, 0.5], 0.6, [0, 0.375, 0.625]),  # by probability, not by id
        ([0.25, 0.25, 0.25, 0.25], 0.5, [0.5, 0.5, 0, 0]),  # ties by id
        ([0.1] * 10, 0.7, [1 / 7] * 7 + [0] * 3),  # 0.1 seven times is less than 0.7 by rounding
        ([0.5, 0.5, 0.0], 1, [0.5, 0.5, 0.0]),
    ],
)
def test_nucleus(p_V, top_p, expected):
    assert kept(p_V, top_p=top_p) == pytest.approx(expected, abs=1e-12)


def test_top_k_keeps_exactly_k():
    assert kept([0.2, 0.4, 0.2, 0.2], top_k=2) == pytest.approx([1 / 3, 2 / 3, 0, 0])
    assert kept([0.2, 0.8], top_k=99) == pytest.approx([0.2, 0.8])


def test_cuts_follow_each_other():
    """Temperature first, then top-k, then the nucleus of what is left."""
    p_V = [0.4, 0.3, 0.2, 0.1]
    assert kept(p_V, top_k=3, top_p=0.7) == pytest.approx([4 / 7, 3 / 7, 0, 0])  # 7/9 reaches 0.7
    # Squared: 16, 9, 4, 1 of 30; the first two have 25/30.
    assert kept(p_V, temperature=0.5, top_p=0.8) == pytest.approx([16 / 25, 9 / 25, 0, 0])
    assert kept(p_V, top_p=0.8) == pytest.approx([4 / 9, 3 / 9, 2 / 9, 0])


def test_extreme_temperatures():
    assert kept([0.3, 0.4, 0.3], temperature=1e-300) == [0, 1, 0]
    assert kept([0.1, 0.8, 0.1], temperature=1e300) == pytest.approx([1 / 3] * 3)
    assert kept([0.1, 0.9, 0.0], temperature=1e300) == pytest.approx([0.5, 0.5, 0])


def test_the_mass_of_the_unknown_word_is_shared_out():
    log_p_V = np.log([0.5, 0.1, 0.4])
    assert Sampling().distribution(log_p_V).tolist() == pytest.approx([0, 0.2, 0.8])
    assert Sampling(unk=True).distribution(log_p_V).tolist() == pytest.approx([0.5, 0.1, 0.4])
    assert Sampling(greedy=True).distribution(np.log([0.5, 0.25, 0.25])).tolist() == [0, 1, 0]
    assert np.exp(log_p_V).tolist() == pytest.approx([0.5, 0.1, 0.4])  # left as it was


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "--temperature 0: .*--greedy"),
        ({"temperature": -1.0}, "--temperature -1: expected a number > 0$"),
        ({"temperature": math.nan}, "--temperature nan"),
        ({"temperature": math.inf}, "--temperature inf"),
        ({"top_k": 0}, "--top-k 0"),
        ({"top_p": 0.0}, "--top-p 0"),
        ({"top_p": 1.5}, r"--top-p 1\.5"),
        ({"top_p": math.nan}, "--top-p nan"),
        ({"greedy": True, "top_k": 3}, "--greedy .*leave out"),
        ({"greedy": True, "temperature": 0.5}, "--greedy .*leave out"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        Sampling(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 0}, "--samples 0"),
        ({"max_length": 0}, "--max-length 0"),
        ({"seed": -1}, "--seed -1"),
        ({"samples": 2, "sampling": Sampling(greedy=True)}, "2 samples would be the same"),
    ],
)
def test_impossible_requests_are_refused_at_once(ffn, vocabulary, settings, message):
    with pytest.raises(ConfigError, match=message):
        generate(ffn, vocabulary, [], **settings)


@pytest.mark.parametrize(
    ("lang", "form", "expected"),
    [
        ("zh", "raw", "我们读书"),
        ("char", "raw", "我们读书"),
        ("en", "raw", "我们 读书"),
        ("zh", "segmented", "我们 读书"),
        ("zh", "pku", "我们 读书"),
    ],
)
def test_words_are_put_together_as_the_text_had_them(lang, form, expected):
    assert join_words(["我们", "读书"], TextRecipe(lang, form, "line")) == expected
