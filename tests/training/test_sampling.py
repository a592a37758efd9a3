"""Which words a step draws, and how likely."""

import numpy as np
import pytest
import torch

from nplm_cli.training.sampling import PARTS, WordSampler, inclusion, log_shares

ZIPF = (10_000 / np.arange(1, 301)).astype(np.int64)
CPU = torch.device("cpu")


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("samples", [1, 7, 40, 299, 300, 5000])
@pytest.mark.parametrize(
    "counts",
    [ZIPF, np.full(300, 7), np.zeros(300, np.int64), ZIPF[::-1]],
    ids=["falling", "equal", "none", "rising"],
)
def test_probabilities_sum_to_the_number_of_samples(counts, samples):
    pi_V = inclusion(counts, samples)
    assert pi_V.sum() == pytest.approx(min(samples, 300), rel=1e-12)
    assert pi_V.min() > 0
    assert pi_V.max() <= 1


def test_they_are_the_counts_to_three_quarters_up_to_1():
    pi_V = inclusion(ZIPF, 60)
    certain = pi_V == 1
    assert 0 < certain.sum() < 60
    assert certain[: certain.sum()].all()
    q_V = ZIPF**0.75
    scale = pi_V[~certain] / q_V[~certain]
    np.testing.assert_allclose(scale, scale[0], rtol=1e-12)
    assert q_V[certain].min() * scale[0] >= 1


def test_a_word_that_the_text_lacks_counts_as_one():
    pi_V = inclusion(np.array([0, 1, 16]), 1)
    np.testing.assert_allclose(pi_V, np.array([1, 1, 8]) / 10)
    np.testing.assert_allclose(np.exp(log_shares(np.array([0, 1, 16]))), np.array([1, 1, 16]) / 18)


def test_the_sampler_rounds_to_what_sixteen_bits_can_decide():
    sampler = WordSampler(ZIPF, 60, CPU)
    np.testing.assert_allclose(sampler.pi_V, inclusion(ZIPF, 60), atol=0.5 / PARTS, rtol=0)
    assert (sampler.pi_V * PARTS == (sampler.pi_V * PARTS).round()).all()
    rare = WordSampler(np.array([10**9, *[1] * 200_000]), 1, CPU)
    assert rare.pi_V.min() == 1 / PARTS  # never 0


def test_frequent_words_and_targets_are_always_there():
    sampler, random = WordSampler(ZIPF, 60, CPU), generator()
    certain = int((sampler.pi_V == 1).sum())
    targets_N = torch.tensor([299, 5, 299, 200])
    for _ in range(50):
        sample = sampler.draw(targets_N, random)
        assert sample.ids_C[:certain].tolist() == list(range(certain))
        assert sample.drawn_C[:certain].all()
        assert (sample.ids_C.diff() > 0).all()
        assert sample.ids_C[sample.place_N].equal(targets_N)
        # What is neither drawn nor a target is not there.
        assert (sample.drawn_C | torch.isin(sample.ids_C, targets_N)).all()


def test_words_are_drawn_as_often_as_said_and_each_on_its_own():
    sampler, random, draws = WordSampler(ZIPF, 60, CPU), generator(), 4000
    drawn = torch.zeros(draws, 300, dtype=torch.float64)
    for row in drawn:
        sample = sampler.draw(torch.tensor([7]), random)
        row[sample.ids_C[sample.drawn_C]] = 1
    pi_V = sampler.pi_V
    deviation_V = (pi_V * (1 - pi_V) / draws).sqrt()
    assert ((drawn.mean(0) - pi_V).abs() <= 4.5 * deviation_V).all()
    # Independent words: the number of words varies as the sum of their variances.
    variance = float((pi_V * (1 - pi_V)).sum())
    assert drawn.sum(1).var().item() == pytest.approx(variance, rel=0.12)


def test_the_rarest_words_are_drawn_once_in_65536():
    words, draws = 400_000, 30
    sampler, random = WordSampler(np.ones(words), 1, CPU), generator()
    assert (sampler.pi_V == 1 / PARTS).all()
    drawn = sum(int(sampler.draw(torch.tensor([0]), random).drawn_C.sum()) for _ in range(draws))
    mean = words * draws / PARTS
    assert drawn == pytest.approx(mean, abs=4.5 * mean**0.5)


def test_logarithms_are_those_of_the_probabilities():
    """Drawn, or one of the N - 1 other targets, that come as often as the text has the word."""
    sampler, targets_N = WordSampler(ZIPF, 60, CPU), torch.tensor([299, 5, 250, 200])
    sample = sampler.draw(targets_N, generator())
    pi_C = inclusion(ZIPF, 60)[sample.ids_C]
    np.testing.assert_allclose(sample.log_pi_C.exp(), pi_C, rtol=1e-3)
    share_C = ZIPF[sample.ids_C] / ZIPF.sum()
    present_C = 1 - (1 - sampler.pi_V[sample.ids_C].numpy()) * (1 - share_C) ** 3
    np.testing.assert_allclose(sample.log_present_C.exp(), present_C, rtol=1e-6)
    alone = sampler.draw(targets_N[:1], generator())
    np.testing.assert_allclose(alone.log_present_C, alone.log_pi_C, rtol=1e-6)


def test_the_generator_decides():
    targets_N = torch.tensor([3])
    drawn = [WordSampler(ZIPF, 60, CPU).draw(targets_N, generator(s)).ids_C for s in (1, 1, 2)]
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])
    random = generator()
    sampler = WordSampler(ZIPF, 60, CPU)
    assert not sampler.draw(targets_N, random).ids_C.equal(sampler.draw(targets_N, random).ids_C)
