"""The numbers of figures are those of the library, and figures hold nothing but figures."""

from xml.etree import ElementTree

import pytest
import torch

from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.attention import sinusoidal_positions
from nplm_cli.plots.activations import activations
from nplm_cli.plots.positions import positions
from nplm_cli.plots.xor import xor


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(
    "make", [lambda lang: activations([], lang), lambda lang: xor(5, lang),
             lambda lang: positions(6, 4, lang)]
)  # fmt: skip
def test_svg_is_whole_and_the_same_again(make, lang):
    svg = make(lang).svg()
    assert svg == make(lang).svg()
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert make(lang).title in "".join(root.itertext())
    assert b'href="http' not in svg
    assert make(lang).png()[0].startswith(b"\x89PNG")


def test_activations_are_those_of_the_models(monkeypatch):
    record = activations(["tanh"], "en").record
    z = torch.tensor(record["z"], dtype=torch.float64)
    assert record["activations"]["tanh"]["f"] == z.tanh().tolist()
    assert record["activations"]["tanh"]["slope"] == pytest.approx((1 - z.tanh() ** 2).tolist())
    monkeypatch.setitem(ACTIVATIONS, "tanh", torch.sin)
    assert activations(["tanh"], "en").record["activations"]["tanh"]["f"] == z.sin().tolist()


def test_xor_given_and_learned():
    record = xor(5, "en").record
    assert record["given"]["score"] == [-0.5, 0.5, 0.5, -0.5]
    assert record["given"]["hidden"]["points"] == [[0, 0], [1, 0], [1, 0], [2, 1]]
    assert record["given"]["solved"] is record["learned"]["solved"] is True
    solved = {seed: xor(seed, "en").record["learned"]["solved"] for seed in range(1, 11)}
    assert set(solved.values()) == {True, False}


def test_positions_are_those_of_the_models():
    assert positions(7, 6, "en").record["positions"] == sinusoidal_positions(7, 6).tolist()
