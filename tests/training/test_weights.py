"""Flat weights: gradients of several batches of a step."""

import numpy as np
import pytest
import torch

from nplm_cli.config import ModelConfig, TrainingConfig
from nplm_cli.models import build
from nplm_cli.training.weights import FlatWeights


def model_and_weights(dtype):
    config = TrainingConfig()
    model = build(ModelConfig(order=3, dim=4, hidden=5), 12, config.dropout_rates)
    model.init_weights(torch.Generator().manual_seed(1))
    return model, FlatWeights(model, dtype)


def give(weights, gradients):
    """As ``backward`` does: added to what is there, in the parameter's own type."""
    for name, gradient in gradients.items():
        parameter = weights.parameters[name]
        rounded = gradient.to(parameter.dtype)
        parameter.grad = rounded if parameter.grad is None else parameter.grad + rounded


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_gradients_of_batches_add_up_in_full_precision(dtype):
    """1 + 64 times 1/256: in bf16 each of them is lost beside the 1."""
    _, weights = model_and_weights(dtype)
    small = {n: torch.full(p.shape, 2.0**-8) for n, p in weights.parameters.items()}
    weights.clear_gradients()
    give(weights, {name: torch.ones(gradient.shape) for name, gradient in small.items()})
    for _ in range(64):
        weights.add_up()
        give(weights, small)
    weights.collect_gradients()
    np.testing.assert_array_equal(weights.gradient_P.numpy(), np.float32(1.25))


def test_a_parameter_that_some_batches_do_not_use():
    _, weights = model_and_weights(torch.bfloat16)
    names = list(weights.parameters)
    of_first, of_second, never, *others = names
    ones = {name: torch.ones(weights.parameters[name].shape) for name in names}
    for _ in range(2):  # the second step knows nothing of the first
        weights.clear_gradients()
        give(weights, {name: ones[name] for name in [of_first, *others]})
        weights.add_up()
        give(weights, {name: ones[name] for name in [of_second, *others]})
        weights.collect_gradients()
        found = {name: set(g.ravel().tolist()) for name, g in weights._gradients.items()}
        assert found == {
            of_first: {1.0},
            of_second: {1.0},
            never: {0.0},
            **{name: {2.0} for name in others},
        }


def test_a_step_of_several_batches_in_bf16(training):
    """A full batch in pieces: its gradient is the sum in fp32 of what each piece has in bf16."""
    run = training(batch=0, steps=1, optimizer="sgd", lr=1.0, schedule="constant", warmup=0.0,
                   clip=0.0)  # fmt: skip
    trainer = run.trainer(dtype=torch.bfloat16)
    [step] = trainer.batches.epoch(0)
    batches = [batch for batch in step for _ in range(6)]
    predictions = sum(batch.predictions for batch in batches)
    sums = {n: torch.zeros(p.shape) for n, p in trainer.weights.parameters.items()}
    for batch in batches:
        trainer.weights.clear_gradients()
        trainer.objective.backward(batch, predictions, 0.0)
        for name, parameter in trainer.weights.parameters.items():
            sums[name] += parameter.grad.float()
    before_P = trainer.weights.master_P.clone()
    trainer._step(batches)
    moved_P = before_P - trainer.weights.master_P
    expected_P = torch.cat([sums[name].ravel() for name in trainer.weights.parameters])
    assert expected_P.abs().max() > 0.01
    # Weights of size 1 in fp32; a sum in bf16 would be off by some 1e-4.
    torch.testing.assert_close(moved_P, expected_P, rtol=0, atol=3e-7)
