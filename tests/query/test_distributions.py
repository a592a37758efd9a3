"""Entropy and rank before each token, against the whole distribution asked one by one."""

import math

import numpy as np
import pytest

from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.query import distributions
from nplm_cli.query.distributions import Expectation, expectations, with_context
from nplm_cli.query.mixture import MixScorer
from nplm_cli.query.scorer import NgramScorer

V = 11
SEQUENCES = [[2, 3, EOS_ID], [], [4, 0, 9, 2, 2, EOS_ID], [5], [2, 3, 1, 7, 1]]


def one_by_one(scorer, history, token):
    log_p = scorer.next_log_probs(history)
    p = [math.exp(x) for x in log_p]
    if not sum(p):
        return None, None
    entropy = -math.fsum(x * math.log(x) for x in p if x > 0)
    return entropy, 1 + sum(x > log_p[token] + 1e-9 for x in log_p)


@pytest.mark.parametrize("rows", [1, 2, 64])
def test_every_scorer(scorer, monkeypatch, rows):
    monkeypatch.setattr(distributions, "ROWS", rows)
    read = []
    found = expectations(scorer, SEQUENCES, V, read.append)
    assert [len(own) for own in found] == [len(ids) for ids in SEQUENCES]
    assert sum(read) == sum(map(len, SEQUENCES))
    for ids, own in zip(SEQUENCES, found, strict=True):
        for t, expectation in enumerate(own):
            entropy, rank = one_by_one(scorer, ids[:t], ids[t])
            assert expectation.rank == rank
            assert expectation.entropy == pytest.approx(entropy, abs=1e-5)


def test_bounds():
    """All equal: ln V and rank 1 for every word; all mass on one: 0."""

    class Fixed:
        def begin(self, history, rows=1):
            return np.log(np.full((rows, 4), 0.25)), None

        def advance(self, ids_B, state):
            p_BV = np.zeros((len(ids_B), 4))
            p_BV[:, 2] = 1
            with np.errstate(divide="ignore"):
                return np.log(p_BV), None

    [own] = expectations(Fixed(), [[3, 2, 0]], 4)
    assert own == [Expectation(pytest.approx(math.log(4)), 1), Expectation(0.0, 1), (0.0, 2)]
    assert math.copysign(1, own[1].entropy) == 1


def test_counts_follow_the_policy_that_is_asked_for(counted):
    """The steps of counts give what ``nll`` gives, whatever policy they were counted under."""
    from nplm_cli.corpus.shards import Part

    ids = np.array([2, 3, EOS_ID, 2, 4, EOS_ID])
    part = Part(ids, np.array([0, 3, 6]), np.array([0]), 0)
    for name in ("kn", "stream"):
        own = counted(name)
        for context in ("sentence", "stream"):
            stepwise = with_context(own, context)
            begin = 0 if context == "stream" else 3
            for t in range(begin, 6):
                nats = -stepwise.next_log_probs(ids[begin:t].tolist())[ids[t]]
                assert nats == pytest.approx(own.nll(part, context)[t], abs=1e-12)
    mixed = MixScorer([counted("kn"), counted("addk")], [0.5, 0.5])
    turned = with_context(mixed, "stream")
    assert isinstance(turned, MixScorer)
    assert all(isinstance(s, NgramScorer) and s.model.context == "stream" for s in turned.scorers)
    assert mixed.scorers[0].model.context == "sentence"
