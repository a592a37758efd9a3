"""Noise of training: where it acts, how much, from which generator; and activation penalties."""

import math

import pytest
import torch

from nplm_cli.config import DropoutRates, ModelConfig, TrainingConfig
from nplm_cli.corpus.vocabulary import EOS_ID, UNK_ID
from nplm_cli.models import build
from nplm_cli.models.regularisation import Dropout, EmbeddingDropout, WordDropout
from nplm_cli.training.losses import activation_penalty
from nplm_cli.training.optimizers import Schedule


def seeded(module, seed=1):
    module.generator = torch.Generator().manual_seed(seed)
    return module.train()


def test_dropout_keeps_the_mean():
    x = torch.ones(40, 50, 60)
    dropped = seeded(Dropout(0.3))(x)
    assert dropped.unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)


def test_locked_dropout_is_one_mask_for_all_positions_of_a_row():
    dropped = seeded(Dropout(0.5, locked=True))(torch.ones(8, 20, 30))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert not torch.equal(dropped[0], dropped[1])
    free = seeded(Dropout(0.5))(torch.ones(8, 20, 30))
    assert not torch.equal(free, free[:, :1].expand_as(free))


def test_embedding_dropout_drops_a_type_wherever_it_stands():
    ids = torch.arange(500).repeat(2, 3)
    dropped = seeded(EmbeddingDropout(0.4))(torch.ones(2, 1500, 4), ids, 500)
    by_type = dropped.view(2, 3, 500, 4)
    assert torch.equal(by_type, by_type[:1, :1, :, :1].expand_as(by_type))
    assert float((by_type[0, 0, :, 0] == 0).float().mean()) == pytest.approx(0.4, abs=0.07)
    assert by_type.max() == pytest.approx(1 / 0.6)


def test_word_dropout_reads_words_as_unk_and_never_the_boundary():
    ids = torch.full((100, 100), 7)
    ids[:, ::2] = EOS_ID
    read = seeded(WordDropout(0.25))(ids)
    assert torch.equal(read[:, ::2], ids[:, ::2])
    words = read[:, 1::2]
    assert set(words.unique().tolist()) == {UNK_ID, 7}
    assert float((words == UNK_ID).float().mean()) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("module", [Dropout(0.5), EmbeddingDropout(0.5), WordDropout(0.5)])
def test_nothing_happens_in_evaluation(module):
    ids = torch.tensor([[3, 4, 5]])
    x = torch.ones(1, 3, 4)
    module.eval()
    module.generator = torch.Generator().manual_seed(1)
    arguments = {Dropout: (x,), EmbeddingDropout: (x, ids, 9), WordDropout: (ids,)}[type(module)]
    assert module(*arguments) is arguments[0]


@pytest.mark.parametrize("rate", ["input", "hidden", "output", "embedding", "word"])
def test_each_rate_acts_and_only_in_training(rate):
    config = ModelConfig(order=3, dim=4, hidden=5, layers=2)
    ids = torch.tensor([[2, 3, 4, 5]])
    model = build(config, 12, DropoutRates(**{rate: 0.5}))
    model.init_weights(torch.Generator().manual_seed(1))
    calm = build(config, 12)
    calm.load_state_dict(model.state_dict())
    expected = calm(ids, calm.initial_state(1))[0]
    draws = []
    for seed in (1, 1, 2):
        model.use_generator(torch.Generator().manual_seed(seed))
        draws.append(model.train()(ids, model.initial_state(1))[0])
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(model.eval()(ids, model.initial_state(1))[0], expected)


def test_rates_fall_back_on_dropout():
    assert TrainingConfig(dropout=0.3).dropout_rates == DropoutRates(0.3, 0.3, 0.3)
    rates = TrainingConfig(dropout=0.3, dropout_hidden=0.0, word_dropout=0.1).dropout_rates
    assert rates == DropoutRates(input=0.3, hidden=0.0, output=0.3, word=0.1)


def test_activation_penalties_by_hand():
    hidden = torch.tensor(
        [[[1.0, 2.0], [3.0, 2.0], [9.0, 9.0]], [[0.0, 1.0], [0.0, 4.0], [1.0, 4.0]]]
    )
    counted = torch.tensor([[True, True, False], [True, True, True]])
    ar = (1 + 4 + 9 + 4 + 0 + 1 + 0 + 16 + 1 + 16) / 10
    tar = (4 + 0 + 0 + 9 + 1 + 0) / 6
    other = torch.full_like(hidden, 7.0)  # ar asks the dropped states alone, tar the raw ones
    assert float(activation_penalty(hidden, other, counted, 2.0, 0.0)) == pytest.approx(2 * ar)
    assert float(activation_penalty(other * 0, hidden, counted, 0.0, 3.0)) == pytest.approx(3 * tar)
    both = activation_penalty(hidden, hidden, counted, 1.0, 1.0)
    assert float(both) == pytest.approx(ar + tar)
    one = torch.ones(3, 1, 2)
    assert float(activation_penalty(one, one, torch.ones(3, 1, dtype=torch.bool), 0.0, 1.0)) == 0


@pytest.mark.parametrize("arch", ["ffn", "lstm", "transformer"])
def test_the_states_of_the_penalties(arch):
    """After output dropout and before it, of the last hidden layer, projected or not."""
    config = ModelConfig(arch=arch, dim=4, hidden=6, tie=True)
    model = build(config, 12, DropoutRates(output=0.5))
    model.init_weights(torch.Generator().manual_seed(1))
    ids = torch.randint(2, 12, (3, 7), generator=torch.Generator().manual_seed(1))
    model.use_generator(torch.Generator().manual_seed(1))
    hidden, _ = model.train()(ids, model.initial_state(3))
    dropped, raw = model.last_states()
    projection = model.encoder.projection
    assert torch.equal(hidden, dropped if projection is None else projection(dropped))
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], 2 * raw[kept])
    assert 0.3 < float(kept.float().mean()) < 0.7
    with pytest.raises(RuntimeError):
        model.last_states()
    model.eval()(ids, model.initial_state(3))
    with pytest.raises(RuntimeError):
        model.last_states()


def test_the_penalty_shrinks_the_states(training):
    sizes = {}
    for ar in (0.0, 5.0):
        trainer = training(epochs=4, lr=0.01, ar=ar).run()
        ids = torch.arange(2, 12)[None]
        hidden, _ = trainer.model.eval()(ids, trainer.model.initial_state(1))
        sizes[ar] = float(hidden.detach().pow(2).mean())
    assert sizes[5.0] < 0.5 * sizes[0.0]


@pytest.mark.parametrize("share", [0.001, 0.05, 0.25, 0.5, 0.9])
def test_the_share_that_is_dropped(share):
    dropout = Dropout(share)
    dropout.generator = torch.Generator().manual_seed(3)
    kept = dropout.kept((1000, 1000), torch.device("cpu"))
    deviation = math.sqrt(share * (1 - share) / 1e6)
    assert abs((~kept).double().mean().item() - share) < 4 * deviation + 2**-17
    # Neither rows nor neighbours have anything in common: four cells come of one draw.
    dropped = (~kept).double() - share
    for lag in (1, 2, 3, 4, 1000):
        pairs = dropped.flatten()
        correlation = (pairs[lag:] * pairs[:-lag]).mean() / (share * (1 - share))
        assert abs(correlation.item()) < 5e-3


@pytest.mark.parametrize("share", [1 - 2**-16, 1 - 2**-17, 0.999999999])
def test_a_share_just_below_all_of_it(share):
    """Finer than the 2^16 shares that can be drawn: all but one in 65,536."""
    dropout = Dropout(share)
    dropout.generator = torch.Generator().manual_seed(3)
    kept = dropout.kept((1000, 1000), torch.device("cpu"))
    assert 0 < kept.sum().item() < 60


def test_what_is_kept_is_scaled():
    dropout = Dropout(0.2)
    dropout.generator = torch.Generator().manual_seed(3)
    x = torch.full((50, 40), 3.0)
    values = set(dropout(x).flatten().tolist())
    assert values == {0.0, 3.75}


def test_a_ramp_raises_all_noise_on_a_line():
    schedule = Schedule(TrainingConfig(dropout=0.5, dropout_ramp=0.5))
    assert [schedule.noise(done) for done in (0, 0.25, 0.5, 1)] == pytest.approx([0.2, 0.6, 1, 1])
    assert Schedule(TrainingConfig(dropout=0.5)).noise(0.0) == 1
    model = build(ModelConfig(dim=4, hidden=5).resolved(), 7, DropoutRates(output=0.5, word=0.1))
    model.set_noise(0.6)
    assert model.output_dropout.share == pytest.approx(0.3)
    assert model.word_dropout.share == pytest.approx(0.06)
    model.set_noise(1.0)
    assert model.output_dropout.share == 0.5


def test_the_trainer_sets_the_strength_of_each_step(training, monkeypatch):
    trainer = training(epochs=2, dropout=0.5, dropout_ramp=0.5).trainer()
    seen = []
    real = trainer.model.set_noise
    monkeypatch.setattr(trainer.model, "set_noise", lambda s: (seen.append(s), real(s)))
    trainer.fit()
    total = trainer.length.total_steps
    assert seen == pytest.approx([min(1, 0.2 + 0.8 * n / total / 0.5) for n in range(total)])
