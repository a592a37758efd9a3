"""Mixtures: the formula, one answer from every call, caches over files and over sentences."""

import numpy as np
import pytest

from nplm_cli.config import CacheConfig, ModelConfig
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.ngram import NgramModel
from nplm_cli.query import FORWARD, readers, scorer
from nplm_cli.query.mixture import MixScorer, MixState, joint_order, mixed_log_probs
from nplm_cli.query.scorer import NeuralScorer, NgramScorer

V = 11
NEURAL = CacheConfig("neural", size=3, theta=0.7)
UNIGRAM = CacheConfig("unigram", size=5, decay=0.8)
# Models, caches, weights of both.
MIXTURES = {
    "counts": (["kn", "addk"], [], [0.3, 0.7]),
    "both": (["lstm", "kn"], [], [0.6, 0.4]),
    "one model and a cache": (["ffn"], [NEURAL], [0.8, 0.2]),
    "counts and a cache": (["kn"], [UNIGRAM], [0.5, 0.5]),
    "everything": (["kn", "gru", "transformer"], [UNIGRAM, NEURAL], [0.1, 0.3, 0.2, 0.15, 0.25]),
    "a weight of 0": (["lstm", "kn"], [NEURAL], [1.0, 0.0, 0.0]),
}
POLICIES = ("sentence", "stream")


def model(name):
    """Random weights or counts, the same for the same name."""
    random = np.random.default_rng(5)
    if name in FORWARD:
        config = ModelConfig(arch=name, order=4, dim=8, hidden=8, window=6).resolved()
        shapes = FORWARD[name].expected_shapes(config, V)
        weights = {
            key: (random.standard_normal(shape) * 0.6).astype(np.float32)
            for key, shape in shapes.items()
        }
        return NeuralScorer(weights, config)
    ids = random.integers(0, V, 300)
    ids[::7] = EOS_ID
    smoothing = {"kn": {"order": 3}, "addk": {"order": 2, "smoothing": "addk"}}
    return NgramScorer(NgramModel.train(ids, vocab_size=V, **smoothing[name]))


@pytest.fixture(params=MIXTURES)
def parts(request):
    names, caches, weights = MIXTURES[request.param]
    return [model(name) for name in names], caches, weights


@pytest.fixture
def mixture(parts):
    scorers, caches, weights = parts
    return MixScorer(scorers, weights, caches)


def cache_share(cache, source, ids, starts_of_sentences, policy, t, begin):
    """p of ``ids[t]`` and whether there is one, written out: what the cache holds since ``begin``.

    States are those of the network's own forward over the whole sentence or text.
    """
    if t == begin:
        return None
    mass = total = 0.0
    for i in range(max(begin, t - cache.size), t):
        if cache.kind == "neural":
            states = [_state(source, ids, starts_of_sentences, policy, j) for j in (t, i)]
            weight = np.exp(cache.theta * float(states[0] @ states[1]))
        else:
            weight = cache.decay ** (t - 1 - i)
        total += weight
        mass += weight * (ids[i] == ids[t])
    return mass / total


def _state(source, ids, starts, policy, t):
    begin = 0 if policy == "stream" else max(s for s in starts if s <= t)
    return source.hidden(np.array([[EOS_ID, *ids[begin:t]]]))[0, -1].astype(np.float64)


def expected_nll(parts, part, policy, across):
    """Each prediction on its own, by the formula."""
    scorers, caches, weights = parts
    ids = part.ids_N.astype(int).tolist()
    sentences = part.starts[:-1].tolist()
    begins = [0] if across else sentences
    source = next((s for s in scorers if isinstance(s, NeuralScorer)), None)
    models_KN = [np.exp(-scorer.nll(part, policy)) for scorer in scorers]
    nll = []
    for t in range(len(ids)):
        shares = [p_N[t] for p_N in models_KN]
        begin = max(b for b in begins if b <= t)
        shares += [cache_share(c, source, ids, sentences, policy, t, begin) for c in caches]
        there = [(w, p) for w, p in zip(weights, shares, strict=True) if p is not None]
        nll.append(-np.log(sum(w * p for w, p in there) / sum(w for w, _ in there)))
    return np.array(nll)


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("policy", POLICIES)
def test_nll_is_the_formula(parts, random_part, policy, across, monkeypatch):
    scorers, caches, weights = parts
    part = random_part(9, V)
    mixture = MixScorer(scorers, weights, caches, across=across)
    expected = expected_nll(parts, part, policy, across)
    np.testing.assert_allclose(mixture.nll(part, policy), expected, atol=2e-5)
    # A text that is read in many pieces is the same text.
    monkeypatch.setattr(readers, "PIECE_TOKENS", 4)
    monkeypatch.setattr(scorer, "BATCH_TOKENS", 6)
    np.testing.assert_allclose(mixture.nll(part, policy), expected, atol=2e-5)


@pytest.mark.parametrize("policy", POLICIES)
def test_caches_are_empty_at_the_start_of_each_file(mixture, make_part, policy):
    alone = mixture.nll(make_part([[4, 5, 4], [4]]), policy)
    behind = mixture.nll(make_part([[7, 8, 4]], [[4, 5, 4], [4]]), policy)
    np.testing.assert_allclose(behind[4:], alone, atol=1e-6)


def test_probabilities_sum_to_1(mixture):
    history = [4, 0, 4, 7, 3, 4, 9]
    log_p_BV, state = mixture.begin([], rows=3)
    np.testing.assert_allclose(np.exp(log_p_BV).sum(axis=1), 1, atol=1e-9)
    for i in history:
        log_p_BV, state = mixture.advance(np.array([i, 2, 5]), state)
        np.testing.assert_allclose(np.exp(log_p_BV).sum(axis=1), 1, atol=1e-9)


def test_all_calls_give_one_answer(parts, make_part):
    """Word by word, from any beginning, and a whole sentence at once."""
    scorers, caches, weights = parts
    mixture = MixScorer(scorers, weights, caches, across=False)
    sentence = [4, 0, 4, 7, 3, 4, 9]
    nll_N = mixture.nll(make_part([[2, 3], sentence]), "sentence")[3:]
    log_p_BV, state = mixture.begin([], rows=2)
    for t, i in enumerate([*sentence, EOS_ID]):
        from_start_V = mixture.next_log_probs(sentence[:t])
        np.testing.assert_allclose(log_p_BV[0], from_start_V, atol=1e-5)
        assert nll_N[t] == pytest.approx(-from_start_V[i], abs=1e-5)
        log_p_BV, state = mixture.advance(np.array([i, 6]), state)
    np.testing.assert_allclose(log_p_BV[1], mixture.next_log_probs([6] * 8), atol=1e-5)


def test_states_are_rows_and_stay_as_they_are(mixture, arrays):
    _, state = mixture.begin([4, 5, 6], rows=3)
    before = [piece.copy() for piece in arrays(state)]
    first, after = mixture.advance(np.array([2, 3, 4]), state)
    assert all(len(piece) == 3 for piece in arrays(after))
    for piece, old in zip(arrays(state), before, strict=True):
        np.testing.assert_array_equal(piece, old)
    second, _ = mixture.advance(np.array([2, 3, 4]), state)
    np.testing.assert_array_equal(first, second)
    # A row does not depend on the others.
    components = tuple(tuple(piece[::-1] for piece in own) for own in state.components)
    turned_state = MixState(components, tuple(piece[::-1] for piece in state.memory))
    turned, _ = mixture.advance(np.array([4, 3, 2]), turned_state)
    np.testing.assert_allclose(turned[::-1], first, atol=1e-6)


def test_a_state_holds_all_there_is(parts):
    """Another scorer of the same models goes on from it, whatever was asked of that one before."""
    scorers, caches, weights = parts
    one, other = (MixScorer(scorers, weights, caches) for _ in range(2))
    _, state = one.begin([4, 5, 6], rows=2)
    expected, _ = one.advance(np.array([2, 3]), state)
    found, _ = other.advance(np.array([2, 3]), state)
    np.testing.assert_array_equal(found, expected)


def test_each_network_reads_a_word_once(parts, monkeypatch):
    scorers, caches, weights = parts
    calls = []
    real = NeuralScorer.read

    def counted(self, ids_BT, state=None):
        calls.append((id(self), ids_BT.shape[1]))
        return real(self, ids_BT, state)

    monkeypatch.setattr(NeuralScorer, "read", counted)
    mixture = MixScorer(scorers, weights, caches)
    _, state = mixture.begin([4, 5, 6], rows=2)
    mixture.advance(np.array([2, 3]), state)
    networks = [id(s) for s in scorers if isinstance(s, NeuralScorer)]
    assert calls == [(n, length) for length in (4, 1) for n in networks]


def test_where_a_component_has_no_distribution_the_others_share_its_weight():
    log_p_KN = np.log([[0.5, 0.2], [0.25, 0.1], [1.0, 0.4]])
    log_p_KN[2, 0] = np.nan
    found = np.exp(mixed_log_probs(log_p_KN, [0.2, 0.3, 0.5]))
    np.testing.assert_allclose(found, [(0.1 + 0.075) / 0.5, 0.04 + 0.03 + 0.2], rtol=1e-12)


def test_impossible_words_and_weights_of_0():
    log_p_KN = np.array([[-np.inf, -np.inf], [np.log(0.5), -np.inf]])
    np.testing.assert_array_equal(mixed_log_probs(log_p_KN, [1.0, 0.0]), [-np.inf, -np.inf])
    np.testing.assert_allclose(mixed_log_probs(log_p_KN, [0.5, 0.5])[0], np.log(0.25))


def test_a_component_alone_is_untouched(random_part):
    scorer, part = model("lstm"), random_part(20, V)
    np.testing.assert_array_equal(
        MixScorer([scorer], [1.0]).nll(part, "stream"), scorer.nll(part, "stream")
    )


def test_a_neural_cache_needs_a_network():
    with pytest.raises(ConfigError, match="needs a neural model"):
        MixScorer([model("kn")], [0.5, 0.5], [NEURAL])


@pytest.mark.parametrize(
    ("orders", "caches", "expected"),
    [
        ([3, 5], [], 5),
        ([3, None], [], None),
        ([3, None], [UNIGRAM], None),
        ([3, 5], [UNIGRAM], 6),  # the last 5 words, and counts of order 5 see but 4
        ([4, 9], [NEURAL], 9),
        ([6], [NEURAL], 9),  # 3 words, the oldest behind a window of 5
    ],
)
def test_order(orders, caches, expected):
    assert joint_order(orders, caches, 0) == expected


def test_what_a_prediction_sees():
    mixture = MixScorer([model("ffn"), model("kn")], [0.5, 0.3, 0.2], [NEURAL])
    assert mixture.order == 3 + 3 + 1
    assert [mixture.seen(read) for read in (0, 1, 5, 6, 7, 50)] == [0, 1, 5, 6, 6, 6]
    unbounded = MixScorer([model("lstm")], [0.8, 0.2], [UNIGRAM])
    assert unbounded.order is None
    assert unbounded.seen(1000) == 1000


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("cache", [NEURAL, UNIGRAM], ids=lambda cache: cache.kind)
def test_a_prediction_sees_what_changes_it(make_part, cache, across):
    """In a stream; a state that a cache holds knows of words before its sentence, too."""
    part = make_part([[4, 5] * 6, [4, 5] * 5])  # words that the cache holds
    mixture = MixScorer([model("ffn")], [0.5, 0.5], [cache], across=across)
    nll_N = mixture.nll(part, "stream")
    begin, end = (int(start) for start in part.starts[1:])
    furthest = dict.fromkeys(range(begin, end - 1), 0)
    for changed in range(end - 1):
        for other in range(V):
            ids_N = part.ids_N.copy()
            ids_N[changed] = other
            another = Part(ids_N, part.starts, part.file_starts, 0)
            moved_N = np.abs(mixture.nll(another, "stream") - nll_N) > 1e-6
            for at in furthest:
                if at > changed and moved_N[at]:
                    furthest[at] = max(furthest[at], at - changed)
    found = {at: mixture.seen(1 + at, 1 + at, 1 + at - begin) for at in furthest}
    if cache.kind == "neural" and not across:  # a single word has all mass, whatever its state
        assert (found.pop(begin + 1), furthest.pop(begin + 1)) == (4, 3)
    assert found == furthest


@pytest.mark.parametrize("across", [True, False])
def test_an_empty_cache_sees_nothing(across):
    """Not even the boundary, which counts of order 1 do not see either."""
    alone = NgramScorer(NgramModel.train(np.array([3, 4, EOS_ID]), vocab_size=V, order=1))
    mixture = MixScorer([alone], [0.5, 0.5], [UNIGRAM], across=across)
    assert [mixture.seen(read, read, read) for read in (1, 2, 6, 9)] == [0, 1, 5, 5]


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_to_score(mixture, policy):
    nothing = Part(np.zeros(0, np.uint16), np.zeros(1, np.int64), np.zeros(0, np.int64), 0)
    assert len(mixture.nll(nothing, policy)) == 0


def test_a_model_without_numbers_is_no_empty_cache():
    """nan says that a cache is empty; of damaged weights it must not drop a component silently."""
    whole = model("lstm")
    bias_V = np.where(np.arange(V) == 3, np.nan, 0.0).astype(np.float32)
    damaged = NeuralScorer({**whole.weights, "output.bias": bias_V}, whole.config)
    mixture = MixScorer([model("kn"), damaged], [0.5, 0.5])
    ids = np.array([3, 4, EOS_ID], np.uint32)
    part = Part(ids, np.array([0, 3]), np.array([0]), 6)
    with pytest.raises(ArtifactError, match="the weights: nan"):
        mixture.next_log_probs([3])
    with pytest.raises(ArtifactError, match="the weights: nan"):
        mixture.nll(part, "sentence")
