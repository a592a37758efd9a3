"""What the layers of an encoder do while they read: each family looked at with its own code.

A ``Trace`` holds what the output layer reads, reached by another way than ``Reading.output`` where
the fused kernels hide what happens in between, and compared with it.

Shape suffixes: S places in sight, E word vectors, H units of a layer, G = H times the number of
gates, D what the output layer reads.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nplm_cli.explain.network.reading import Reading, same_numbers
from nplm_cli.models.attention import AttendingLM
from nplm_cli.models.cells import gru_gates, lstm_gates
from nplm_cli.models.feedforward import FeedforwardLM, WindowEncoder
from nplm_cli.models.recurrent import (
    GatedLayer,
    MemoryLayer,
    RecurrentEncoder,
    RecurrentLayer,
    RecurrentLM,
)


@dataclass
class Layer:
    """A layer: its record, and the units (H,) by which it acts on the prediction, if it has any."""

    record: dict[str, Any]
    units: Tensor | None = None


@dataclass
class Trace:
    """Layers from the first up, and what the output layer reads (D,), with the graph behind it."""

    output_D: Tensor
    layers: list[Layer] = field(default_factory=list)


def trace(reading: Reading, x_SE: Tensor) -> Trace:
    """Let a model read vectors and look at its layers."""
    model = reading.model
    if isinstance(model, FeedforwardLM):
        found = _window(model, x_SE)
    elif isinstance(model, RecurrentLM):
        found = _recurrent(model, x_SE)
    else:
        assert isinstance(model, AttendingLM)
        found = _attending(model, x_SE)
    same_numbers(found.output_D, reading.output_D, "reading layer by layer")
    return found


def _window(model: FeedforwardLM, x_SE: Tensor) -> Trace:
    encoder, layers = model.encoder, []
    assert isinstance(encoder, WindowEncoder)
    hidden_1TD, found = encoder.trace(x_SE[None])
    for number, layer in enumerate(found, 1):
        record = {
            "layer": number,
            "sums": _numbers(layer.sums),
            "gate": None if layer.gate is None else _numbers(layer.gate),
            "units": _numbers(layer.units),
        }
        if number == 1:
            own = dict(encoder.layers[0].named_parameters())
            bias = own.get("bias")
            record["bias"] = None if bias is None else bias.tolist()
            record["shares"] = [_numbers(share) for share in layer.shares]
        layers.append(Layer(record, layer.units))
    return Trace(model.finish(hidden_1TD[:, -1])[0], layers)


def _numbers(x_11H: Tensor) -> list[float]:
    numbers: list[float] = x_11H[0, -1].tolist()
    return numbers


def _recurrent(model: RecurrentLM, x_SE: Tensor) -> Trace:
    layers = []
    for number, steps in enumerate(recurrent_steps(model, x_SE), 1):
        record: dict[str, Any] = {"layer": number}
        for name in steps[0]:
            record[name] = [step[name][0].tolist() for step in steps]
        layers.append(Layer(record, steps[-1]["h"]))
    return Trace(model.finish(steps[-1]["h"])[0], layers)


def recurrent_steps(model: RecurrentLM, x_SE: Tensor) -> Iterator[list[dict[str, Tensor]]]:
    """Gates, cells and states (1, H) after each place, by name, layer by layer from the first.

    Raises NplmError when a layer itself comes to other states.
    """
    encoder = model.encoder
    assert isinstance(encoder, RecurrentEncoder)
    memories = model.layer.memories
    state, hidden_SH = model.initial_state(1), x_SE
    for number, layer in enumerate(encoder.layers):
        assert isinstance(layer, RecurrentLayer)
        before = state[number * memories : (number + 1) * memories]
        steps = _steps(layer, hidden_SH, before)
        h_SH = torch.cat([step["h"] for step in steps])
        same_numbers(h_SH, layer(hidden_SH[None], before)[0][0], "each step written out")
        hidden_SH = h_SH
        yield steps


def _steps(
    layer: RecurrentLayer, x_SI: Tensor, state: tuple[Tensor, ...]
) -> list[dict[str, Tensor]]:
    """Gates, cells and states (1, H) after each place, by name."""
    recurrent_GH, steps = layer.recurrent.weight, []
    for a_1G in nn.functional.linear(x_SI, layer.input.weight, layer.bias).split(1):
        step: dict[str, Tensor]
        if isinstance(layer, MemoryLayer):
            peephole = None if layer.peephole is None else layer.peephole.weight
            step = lstm_gates(a_1G, state[0], state[1], recurrent_GH, peephole)._asdict()
            state = (step["h"], step["c"])
        elif isinstance(layer, GatedLayer):
            step = gru_gates(a_1G, state[0], recurrent_GH)._asdict()
            state = (step["h"],)
        else:
            state = layer.step(a_1G, state, recurrent_GH)
            step = {"h": state[0]}
        steps.append(step)
    return steps


def _attending(model: AttendingLM, x_SE: Tensor) -> Trace:
    hidden_1SE, _, weights = model.encoder.trace(x_SE[None], torch.arange(len(x_SE)), None, None)
    layers = [
        Layer({"layer": number, "heads": a_1HSS[0].tolist()})
        for number, a_1HSS in enumerate(weights, 1)
    ]
    return Trace(model.finish(hidden_1SE[:, -1])[0], layers)
