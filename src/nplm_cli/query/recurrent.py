"""Recurrent models in numpy (rnn, gru, lstm): an independent twin of ``models/recurrent.py``.

Shape suffixes: B rows, T positions, E word vectors, I inputs of a layer, H hidden units, G = H
times the number of gates. Gates in the order of the weights' rows: gru r, z, n; lstm i, f, g, o.
"""

from collections.abc import Callable

import numpy as np

from nplm_cli.config import ModelConfig
from nplm_cli.query.layers import ACTIVATIONS, Shapes, State, Weights, outer_shapes, project

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
PEEPHOLES = 3
sigmoid = ACTIVATIONS["sigmoid"]

# The input's share of what goes into the gates (input weights times x, plus bias) and a layer's
# state -> its new state, the output first.
Step = Callable[[np.ndarray, State], State]


def expected_shapes(config: ModelConfig, vocabulary_size: int) -> Shapes:
    """Return the shape of every tensor that a model of these settings has."""
    hidden, rows = config.hidden, GATES[config.arch] * config.hidden
    shapes = outer_shapes(config, vocabulary_size, hidden)
    for layer in range(config.layers):
        name = f"encoder.layers.{layer}"
        shapes[f"{name}.input.weight"] = (rows, hidden if layer else config.dim)
        shapes[f"{name}.recurrent.weight"] = (rows, hidden)
        if config.hidden_bias:
            shapes[f"{name}.bias"] = (rows,)
        if config.arch == "lstm" and config.peephole == "diagonal":
            shapes[f"{name}.peephole.weight"] = (PEEPHOLES, hidden)
        elif config.arch == "lstm" and config.peephole == "full":
            shapes[f"{name}.peephole.weight"] = (PEEPHOLES, hidden, hidden)
    return shapes


def initial_state(config: ModelConfig, batch: int) -> State:
    """Return zeros: h of each layer in turn, of an lstm h and c of each layer."""
    pieces = config.layers * _memories(config)
    return tuple(np.zeros((batch, config.hidden), np.float32) for _ in range(pieces))


def forward(
    weights: Weights, config: ModelConfig, ids_BT: np.ndarray, state: State
) -> tuple[np.ndarray, State]:
    """Return hidden states (B, T, D) that the output layer reads, and the new state."""
    memories = _memories(config)
    # Time first, so that what one step reads and writes lies together.
    x_TBI = weights["embedding.weight"][ids_BT.T]
    after: State = ()
    for layer in range(config.layers):
        name = f"encoder.layers.{layer}"
        own = state[layer * memories : (layer + 1) * memories]
        step = _step(weights, config, name)
        positions, batch, inputs = x_TBI.shape
        a_NG = x_TBI.reshape(-1, inputs) @ weights[f"{name}.input.weight"].T
        if config.hidden_bias:
            a_NG += weights[f"{name}.bias"]
        outputs = np.empty((positions, batch, config.hidden), a_NG.dtype)
        for t, a_BG in enumerate(a_NG.reshape(positions, batch, -1)):
            own = step(a_BG, own)
            outputs[t] = own[0]
        x_TBI = outputs
        after += own
    return project(weights, x_TBI.transpose(1, 0, 2)), after


def _memories(config: ModelConfig) -> int:
    return 2 if config.arch == "lstm" else 1


def _step(weights: Weights, config: ModelConfig, name: str) -> Step:
    """Return one step of a layer, its weights looked up once."""
    u_HG = weights[f"{name}.recurrent.weight"].T
    size = config.hidden

    def rnn(a_BH: np.ndarray, state: State) -> State:
        return (activation(a_BH + state[0] @ u_HG),)

    def gru(a_BG: np.ndarray, state: State) -> State:
        (h_BH,) = state
        u_BG = h_BH @ u_HG
        r_z = sigmoid(a_BG[:, : 2 * size] + u_BG[:, : 2 * size])
        reset, update = r_z[:, :size], r_z[:, size:]
        candidate = np.tanh(a_BG[:, 2 * size :] + reset * u_BG[:, 2 * size :])
        return (candidate + update * (h_BH - candidate),)

    def lstm(a_BG: np.ndarray, state: State) -> State:
        h_BH, c_BH = state
        z_BG = a_BG + h_BH @ u_HG
        i_f, candidate = z_BG[:, : 2 * size], np.tanh(z_BG[:, 2 * size : 3 * size])
        output = z_BG[:, 3 * size :]
        if peephole is not None:
            i_f += np.concatenate([see(c_BH, peephole[0]), see(c_BH, peephole[1])], axis=1)
        i_f = sigmoid(i_f)
        c_BH = i_f[:, size:] * c_BH + i_f[:, :size] * candidate
        if peephole is not None:
            output = output + see(c_BH, peephole[2])
        return sigmoid(output) * np.tanh(c_BH), c_BH

    def see(c_BH: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return c_BH @ weight.T if config.peephole == "full" else c_BH * weight

    activation = ACTIVATIONS[config.activation or "tanh"]
    peephole = weights[f"{name}.peephole.weight"] if config.peephole != "none" else None
    return {"rnn": rnn, "gru": gru, "lstm": lstm}[config.arch]
