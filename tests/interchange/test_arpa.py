"""Back-off models: what a reader of the ARPA file computes against the definitions."""

import collections
import itertools
import math

import numpy as np
import pytest

from nplm_cli.errors import ConfigError
from nplm_cli.interchange import backoff, conversion
from nplm_cli.interchange.arpa import save_arpa
from nplm_cli.interchange.backoff import from_counts
from nplm_cli.interchange.conversion import from_network
from nplm_cli.interchange.pruning import prune
from nplm_cli.ngram import NgramModel


def sentences(part):
    ids = part.ids_N.tolist()
    return [ids[a:b] for a, b in itertools.pairwise(part.starts.tolist())]


def named(ids, tokens):
    return [tokens[i] for i in ids]


def read_aloud(model, part, tokens):
    """Natural log-probabilities of a part by an ARPA reader."""
    found = []
    for sentence in sentences(part):
        history = ["<s>"]
        for word in named(sentence, tokens):
            found.append(model.log10(history, word) * math.log(10))
            history.append(word)
    return np.array(found)


@pytest.mark.parametrize(
    "settings",
    [
        {"order": 1},
        {"order": 2},
        {"order": 4},
        {"order": 4, "context": "stream"},
        {"order": 1, "smoothing": "addk", "k": 0.5},
    ],
)
def test_counts_are_written_exactly(text, tokens, tmp_path, arpa, settings):
    counts = NgramModel.train(text.ids_N, vocab_size=len(tokens), **settings)
    model = from_counts(counts)
    expected = counts.log_probs(text.ids_N, context="sentence")
    np.testing.assert_allclose(model.log_probs(text.ids_N), expected, rtol=0, atol=1e-12)
    save_arpa(tmp_path / "m.arpa", model, tokens)
    read = arpa(tmp_path / "m.arpa")
    assert read.order == settings["order"]
    np.testing.assert_allclose(read_aloud(read, text, tokens), expected, rtol=0, atol=2e-5)
    for history in read.histories:
        assert read.total(history) == pytest.approx(1, abs=1e-6)
    if settings.get("context") == "stream":  # no sentence crosses its own end
        assert not any("</s>" in ngram[:-1] or "<s>" in ngram[1:] for ngram in read.p)


def test_relative_frequencies_of_words_alone(tokens, tmp_path, arpa, text):
    counts = NgramModel.train(np.array([2, 2, 3, 1]), vocab_size=11, order=1, smoothing="mle")
    save_arpa(tmp_path / "m.arpa", from_counts(counts), tokens)
    read = arpa(tmp_path / "m.arpa")
    assert read.p[("w2",)] == pytest.approx(math.log10(0.5), abs=1e-6)
    assert read.p[("w9",)] == read.p[("<s>",)] == -99


def averages(scorer, part, order):
    """P(hw) by the definition: of longest histories over places, of others over longer ones."""
    places = collections.defaultdict(list)
    for sentence in sentences(part):
        for i in range(len(sentence)):
            read = (1, *sentence[:i])
            places[read[max(0, len(read) - order + 1) :]].append(
                np.exp(scorer.next_log_probs(sentence[:i]))
            )
    means = {h: np.mean(rows, axis=0) for h, rows in places.items()}
    for length in range(order - 2, -1, -1):
        longer = collections.defaultdict(list)
        for h, mean in means.items():
            if len(h) == length + 1:
                longer[h[1:]].append(mean)
        for h, rows in longer.items():
            # A history that stands at the start of sentences is a longest one, too.
            assert h not in means
            means[h] = np.mean(rows, axis=0)
    return means


@pytest.mark.parametrize("block", [1, 13, 4_000_000])
@pytest.mark.parametrize(
    ("arch", "order", "settings"),
    [
        ("ffn", 3, {}),
        ("ffn", 4, {}),
        ("ffn", 2, {"order": 4}),
        ("ffn", 1, {}),
        ("ffn", 3, {"order": 2, "far": 3, "averages": 1}),
        ("lstm", 3, {}),
        ("transformer", 4, {"heads": 1, "window": 3, "dim": 6}),
        ("ffn", 3, {"softmax": "adaptive", "cutoffs": "4,7"}),
    ],
)
def test_network_is_averaged(
    network, text, tokens, tmp_path, arpa, monkeypatch, arch, order, settings, block
):
    monkeypatch.setattr(conversion, "BLOCK_NUMBERS", block * 11)
    scorer = network(arch, **settings)
    save_arpa(tmp_path / "m.arpa.gz", from_network(scorer, text, order=order)[0], tokens)
    read = arpa(tmp_path / "m.arpa.gz")
    means = averages(scorer, text, order)
    followed = collections.defaultdict(set)
    for sentence in sentences(text):
        padded = (1, *sentence)
        for i in range(1, len(padded)):
            for length in range(min(i, order - 1) + 1):
                followed[padded[i - length : i]].add(padded[i])
    followed[()] = set(range(len(tokens)))
    for history, words in followed.items():
        spelled = ["<s>" if i == 1 else tokens[i] for i in history]
        for word in words:
            p = 10 ** read.p[(*spelled, tokens[word])]
            assert p == pytest.approx(means[history][word], rel=2e-5), (history, word)
    assert len(read.p) == sum(map(len, followed.values())) + 1  # and <s>
    for history in read.histories:
        assert read.total(history) == pytest.approx(1, abs=1e-6)


def test_a_network_of_the_files_order_loses_nothing_on_its_text(network, text):
    scorer = network(order=3)
    model = from_network(scorer, text, order=3)[0]
    np.testing.assert_allclose(
        -model.log_probs(text.ids_N), scorer.nll(text, "sentence"), rtol=0, atol=1e-5
    )


def test_min_count_leaves_rare_ngrams_out(network, text, tokens, tmp_path, arpa):
    save_arpa(tmp_path / "m.arpa", from_network(network(), text, order=3, min_count=2)[0], tokens)
    read = arpa(tmp_path / "m.arpa")
    seen = collections.Counter()
    for sentence in sentences(text):
        padded = ["<s>", *named(sentence, tokens)]
        for n in (2, 3):
            seen.update(tuple(padded[i : i + n]) for i in range(len(padded) - n + 1))
    assert {g for g in read.p if len(g) > 1} == {g for g, count in seen.items() if count > 1}
    for history in read.histories:
        assert read.total(history) == pytest.approx(1, abs=1e-6)


def test_network_and_counts_are_mixed(network, text, tokens, tmp_path, arpa):
    scorer = network(order=3)
    read = {}
    for weight in (0.0, 0.25, 1.0):
        model, used = from_network(scorer, text, order=3, weight=weight)
        assert used == weight
        save_arpa(tmp_path / "m.arpa", model, tokens)
        read[weight] = arpa(tmp_path / "m.arpa")
    counts = NgramModel.train(text.ids_N, vocab_size=len(tokens), order=3)
    np.testing.assert_allclose(
        read_aloud(read[0.0], text, tokens), counts.log_probs(text.ids_N), rtol=0, atol=2e-5
    )
    for ngram, log10 in read[0.25].p.items():
        if ngram != ("<s>",):
            mixed = 0.75 * 10 ** read[0.0].p[ngram] + 0.25 * 10 ** read[1.0].p[ngram]
            assert 10**log10 == pytest.approx(mixed, rel=2e-5)
    for history in read[0.25].histories:
        assert read[0.25].total(history) == pytest.approx(1, abs=1e-6)


def test_the_weight_suits_the_validation_part(network, text):
    scorer = network(order=3)
    model, weight = from_network(scorer, text, order=3, weight=None, valid=text)
    tried = {
        w: -from_network(scorer, text, order=3, weight=w)[0].log_probs(text.ids_N).mean()
        for w in conversion.WEIGHTS
    }
    assert weight == min(tried, key=tried.get)
    assert -model.log_probs(text.ids_N).mean() == pytest.approx(min(tried.values()), abs=1e-12)
    assert from_network(scorer, text, order=2, weight=None)[1] == 1


def test_pruning(text, tokens, tmp_path, arpa):
    """D by its definition: the divergence of the model without one n-gram from the model."""
    model = from_counts(NgramModel.train(text.ids_N, vocab_size=len(tokens), order=2))
    save_arpa(tmp_path / "m.arpa", model, tokens)
    full = arpa(tmp_path / "m.arpa")
    costs = {}
    for ngram in [g for g in full.p if len(g) == 2]:
        h = ngram[0]
        listed = [g[1] for g in full.p if g[:-1] == (h,) and g != ngram]
        p = {w: 10 ** full.log10([h], w) for w in full.words}
        lower = {w: 10 ** full.log10([], w) for w in full.words}
        weight = (1 - sum(p[w] for w in listed)) / (1 - sum(lower[w] for w in listed))
        q = {w: p[w] if w in listed else weight * lower[w] for w in full.words}
        share = lower["</s>" if h == "<s>" else h]
        costs[ngram] = math.expm1(share * sum(p[w] * math.log(p[w] / q[w]) for w in full.words))
    for threshold in (0.0, 1e-3, 3e-3, 1.0):
        save_arpa(tmp_path / "m.arpa", prune(model, threshold), tokens)
        read = arpa(tmp_path / "m.arpa")
        kept = {g for g in read.p if len(g) == 2}
        clear = {g: c for g, c in costs.items() if abs(c - threshold) > 1e-6}
        assert {g for g, c in clear.items() if c >= threshold} == kept & set(clear)
        for history in read.histories:
            assert read.total(history) == pytest.approx(1, abs=1e-6)
    assert not kept


@pytest.mark.parametrize("threshold", [1e-4, 1e-3, 1e-2])
def test_pruned_histories_keep_their_endings(text, tokens, tmp_path, arpa, threshold):
    model = from_counts(NgramModel.train(text.ids_N, vocab_size=len(tokens), order=4))
    small = prune(model, threshold)
    assert sum(small.sizes) < sum(model.sizes)
    save_arpa(tmp_path / "m.arpa", small, tokens)
    read = arpa(tmp_path / "m.arpa")
    for history in read.histories:
        assert len(history) < 2 or {history, history[1:]} <= set(read.p)
        assert read.total(history) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(
        read_aloud(read, text, tokens), small.log_probs(text.ids_N), rtol=0, atol=2e-5
    )


def test_words_that_all_follow_a_history_sum_to_one(tokens, tmp_path, arpa, network):
    """Nothing is left for unseen words: the listed ones take it, and the weight is 0."""
    two = [0, 1]
    trie = backoff.count_model(np.array([0, 0, 1, 1]), order=2, vocab_size=2).trie
    p = [np.zeros(0), np.array([0.5, 0.5]), np.array([0.3, 0.6, 0.2, 0.7])]
    assert len(trie.tables[2].keys_N) == 4
    model = backoff.normalised(trie, p)
    save_arpa(tmp_path / "m.arpa", model, [tokens[i] for i in two])
    read = arpa(tmp_path / "m.arpa")
    # 0.9 of the mass was listed after each history, with every word there is.
    assert 10 ** read.p[("<unk>", "<unk>")] == pytest.approx(0.3 / 0.9, rel=1e-5)
    for history in read.histories:
        assert read.total(history) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("ids", "high"),
    [
        ([0, 0, 1, 1], [0.0, 0.0, 0.2, 0.8]),  # all words listed, none with any mass
        ([0, 0, 1, 1], [0.0, 1.0, 0.0, 0.0]),
        ([1, 0, 0, 1], [0.0, 0.0, 0.5]),
    ],
)
@pytest.mark.parametrize("low", [[0.4, 0.6], [0.0, 1.0]])
def test_words_that_a_sure_network_gives_no_mass(tokens, tmp_path, arpa, ids, high, low):
    """Listed with probability 0 in float32: the history sums to 1 all the same, with no -inf."""
    trie = backoff.count_model(np.array(ids), order=2, vocab_size=2).trie
    high = [*high, 0.0][: len(trie.tables[2].keys_N)]
    model = backoff.normalised(trie, [np.zeros(0), np.array(low), np.array(high)])
    save_arpa(tmp_path / "m.arpa", model, tokens[:2])
    assert "inf" not in (tmp_path / "m.arpa").read_text("utf-8")
    read = arpa(tmp_path / "m.arpa")
    for history in read.histories:
        assert read.total(history) == pytest.approx(1, abs=1e-6), history


@pytest.mark.parametrize("word", ["a b", "a\tb", "", "<s>", "<UNK>", "a\x0bb", "\ud800"])
def test_words_that_readers_would_cut(text, tmp_path, word):
    counts = NgramModel.train(text.ids_N, vocab_size=11, order=1)
    tokens = ["<unk>", "</s>", *map(str, range(8)), word]
    with pytest.raises(ConfigError, match="line 11"):
        save_arpa(tmp_path / "m.arpa", from_counts(counts), tokens)
    assert not list(tmp_path.iterdir())


def test_same_bytes(network, text, tokens, tmp_path):
    for name in ("a.arpa.gz", "b.arpa.gz"):
        save_arpa(tmp_path / name, from_network(network(), text, order=3)[0], tokens)
    assert (tmp_path / "a.arpa.gz").read_bytes() == (tmp_path / "b.arpa.gz").read_bytes()
