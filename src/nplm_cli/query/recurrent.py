"""Recurrent models in numpy (rnn, gru, lstm): an independent twin of ``models/recurrent.py``.

Shape suffixes: B rows, T positions, E word vectors, I inputs of a layer, H hidden units, G = H
times the number of gates. Gates in the order of the weights' rows: gru r, z, n; lstm i, f, g, o.
"""

from collections.abc import Callable, Iterator

import numpy as np

from nplm_cli.config import ModelConfig
from nplm_cli.query.layers import ACTIVATIONS, Shapes, State, Weights, outer_shapes, project

# Inputs' shares gathered at once: a million numbers of 512 lstm units.
GATHERED_ROWS = 512
# From so many steps on a copy of the recurrent weights, laid out for the product, is worth it.
COPIED_FROM = 32

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
PEEPHOLES = 3

# The input's share of what goes into the gates (input weights times x, plus bias), which is written
# over, and a layer's state, which is not -> its new state, the output first.
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
    after: State = ()
    outputs_TBH: np.ndarray | None = None
    dtype = weights["embedding.weight"].dtype
    for layer in range(config.layers):
        name = f"encoder.layers.{layer}"
        own = state[layer * memories : (layer + 1) * memories]
        step = _step(weights, config, name, ids_BT.shape)
        if outputs_TBH is None:
            shares = _shares_of_words(weights, config, ids_BT)
        else:
            shares = iter(_shares(weights, config, name, outputs_TBH))
        # Time first, so that what one step reads and writes lies together.
        outputs_TBH = np.empty((*ids_BT.T.shape, config.hidden), dtype)
        for t, a_BG in enumerate(shares):
            own = step(a_BG, own)
            outputs_TBH[t] = own[0]
        after += own
    assert outputs_TBH is not None
    return project(weights, outputs_TBH).transpose(1, 0, 2), after


def _shares(weights: Weights, config: ModelConfig, name: str, x: np.ndarray) -> np.ndarray:
    """Return what inputs (..., I) send to the gates (..., G), the bias in it."""
    a_NG = x.reshape(-1, x.shape[-1]) @ weights[f"{name}.input.weight"].T
    if config.hidden_bias:
        a_NG += weights[f"{name}.bias"]
    return a_NG.reshape(*x.shape[:-1], a_NG.shape[1])


def _shares_of_words(
    weights: Weights, config: ModelConfig, ids_BT: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield what the words of each position send to the gates (B, G), computed once a word.

    They stay as they are until the next position is asked for.
    """
    rows, steps = ids_BT.shape
    words, where_N = np.unique(ids_BT.T, return_inverse=True)
    where_N = where_N.reshape(-1)
    a_WG = _shares(weights, config, "encoder.layers.0", weights["embedding.weight"][words])
    # Some positions at once, one array for all.
    some = max(1, min(steps, GATHERED_ROWS // max(1, rows)))
    a_NG = np.empty((some * rows, a_WG.shape[1]), a_WG.dtype)
    for start in range(0, len(where_N), some * rows):
        where = where_N[start : start + some * rows]
        # "clip" writes into the array at once; all places are inside.
        np.take(a_WG, where, axis=0, out=a_NG[: len(where)], mode="clip")
        yield from a_NG[: len(where)].reshape(-1, rows, a_WG.shape[1])


def _memories(config: ModelConfig) -> int:
    return 2 if config.arch == "lstm" else 1


def _sigmoid(z: np.ndarray) -> None:
    """Logistic function in place: 1/2 + 1/2 tanh(z/2), which overflows nothing."""
    z *= 0.5
    np.tanh(z, out=z)
    z *= 0.5
    z += 0.5


def _step(weights: Weights, config: ModelConfig, name: str, shape_BT: tuple[int, ...]) -> Step:
    """Return one step of a layer, its weights looked up once, for so many rows and steps."""
    u_HG = weights[f"{name}.recurrent.weight"].T
    if shape_BT[1] >= COPIED_FROM:
        u_HG = np.ascontiguousarray(u_HG)
    size = config.hidden
    u_BG = np.empty((shape_BT[0], u_HG.shape[1]), u_HG.dtype)

    def rnn(a_BH: np.ndarray, state: State) -> State:
        a_BH += np.matmul(state[0], u_HG, out=u_BG)
        return (activation(a_BH),)

    def gru(a_BG: np.ndarray, state: State) -> State:
        (h_BH,) = state
        np.matmul(h_BH, u_HG, out=u_BG)
        r_z = a_BG[:, : 2 * size]
        r_z += u_BG[:, : 2 * size]
        _sigmoid(r_z)
        candidate, recurrent = a_BG[:, 2 * size :], u_BG[:, 2 * size :]
        recurrent *= r_z[:, :size]
        candidate += recurrent
        np.tanh(candidate, out=candidate)
        new_BH = h_BH - candidate
        new_BH *= r_z[:, size:]
        new_BH += candidate
        return (new_BH,)

    def lstm(a_BG: np.ndarray, state: State) -> State:
        h_BH, c_BH = state
        a_BG += np.matmul(h_BH, u_HG, out=u_BG)
        i, f, candidate, output = (a_BG[:, k : k + size] for k in range(0, 4 * size, size))
        if peephole is not None:
            i += see(c_BH, peephole[0])
            f += see(c_BH, peephole[1])
            _sigmoid(a_BG[:, : 2 * size])
            np.tanh(candidate, out=candidate)
        else:  # all gates at once: the logistic function as in _sigmoid, where the factor is 1/2
            a_BG *= factor_G
            np.tanh(a_BG, out=a_BG)
            a_BG *= factor_G
            a_BG += shift_G
        candidate *= i
        c_BH = f * c_BH
        c_BH += candidate
        if peephole is not None:
            output += see(c_BH, peephole[2])
            _sigmoid(output)
        h_BH = np.tanh(c_BH)
        h_BH *= output
        return h_BH, c_BH

    factor_G = np.full(4 * size, 0.5, u_HG.dtype)
    factor_G[2 * size : 3 * size] = 1
    shift_G = 1 - factor_G

    def see(c_BH: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return c_BH @ weight.T if config.peephole == "full" else c_BH * weight

    activation = ACTIVATIONS[config.activation or "tanh"]
    peephole = weights[f"{name}.peephole.weight"] if config.peephole != "none" else None
    return {"rnn": rnn, "gru": gru, "lstm": lstm}[config.arch]
