"""A recurrent model reads many positions at once as it reads them one by one."""

import numpy as np
import pytest

from nplm_cli.config import ModelConfig
from nplm_cli.query import recurrent

SETTINGS = [
    {"arch": "rnn"},
    {"arch": "rnn", "activation": "relu"},
    {"arch": "gru"},
    {"arch": "lstm"},
    {"arch": "lstm", "layers": 2, "hidden_bias": False},
    {"arch": "lstm", "peephole": "diagonal"},
    {"arch": "lstm", "peephole": "full"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("gathered", [1, 5, 512])
def test_many_positions_at_once_are_the_same_as_one_by_one(settings, gathered, monkeypatch):
    monkeypatch.setattr(recurrent, "GATHERED_ROWS", gathered)
    config = ModelConfig(**{"dim": 3, "hidden": 4, **settings}).resolved()
    random = np.random.default_rng(1)
    shapes = recurrent.expected_shapes(config, 9)
    weights = {name: random.normal(size=shape) for name, shape in shapes.items()}
    steps = recurrent.COPIED_FROM + 7  # with weights laid out anew; a single step takes them as is
    ids_BT = random.integers(0, 9, (3, steps))
    hidden_BTD, after = recurrent.forward(
        weights, config, ids_BT, recurrent.initial_state(config, 3)
    )
    state = recurrent.initial_state(config, 3)
    for t in range(steps):
        before = [piece.copy() for piece in state]
        one_BTD, new = recurrent.forward(weights, config, ids_BT[:, t : t + 1], state)
        assert all(map(np.array_equal, before, state))  # a state is never changed
        state = new
        assert np.allclose(one_BTD[:, 0], hidden_BTD[:, t], rtol=0, atol=1e-12)
    for piece, other in zip(state, after, strict=True):
        assert np.allclose(piece, other, rtol=0, atol=1e-12)
