"""nplm gradcheck: the table, the JSON, what is refused, and that wrong gradients are named."""

import pytest

from nplm_cli.training import losses


@pytest.fixture(scope="module")
def lstm(texts, tmp_path_factory, train):
    folder = tmp_path_factory.mktemp("lstm") / "run"
    train(texts / "seg.txt", folder, "--arch", "lstm", "--max-size", 30).ok()
    return folder


def test_a_small_model(nplm):
    result = nplm("gradcheck", "--arch", "ffn-relu").ok()
    assert [row["tensor"] for row in result.table] == [
        *("embedding.weight", "encoder.layers.0.weight", "encoder.layers.0.bias"),
        *("output.weight", "output.bias"),
    ]
    assert {row["verdict"] for row in result.table} == {"holds"}
    assert "155 entries" in result.err


@pytest.mark.parametrize("loss", ["full", "sampled", "nce"])
def test_a_run_under_its_loss(nplm, texts, tmp_path, train, loss):
    options = ("--max-size", 30, "--loss", loss, "--samples", 8)
    train(texts / "seg.txt", tmp_path / "run", *options[: 2 if loss == "full" else 6]).ok()
    found = nplm("gradcheck", tmp_path / "run", "--entries", 6, "--json").ok().json
    (model,) = found["models"]
    assert found["schema"] == 1
    assert found["holds"] is True
    assert (model["arch"], model["loss"], model["predictions"]) == ("ffn", loss, 64)
    for tensor in model["tensors"]:
        assert tensor["entries"] == 6
        assert tensor["relative_error"] <= found["tolerance"]
        assert len(tensor["worst"]["index"]) == len(tensor["shape"])


def test_a_sentence_of_the_users_own(nplm, lstm):
    found = nplm("gradcheck", lstm, "--text", "我 买 书", "--entries", 3, "--json", "-q").ok()
    assert found.json["models"][0]["predictions"] == 4
    assert (
        nplm("gradcheck", lstm, "--text", "我 买 书", "--entries", 3, "--json", "-q").out
        == found.out
    )


def test_wrong_gradients_are_named_and_fail(nplm, ffn, monkeypatch):
    backward = losses._LinearCrossEntropy.backward

    def off(ctx, *grads):
        found = list(backward(ctx, *grads))
        found[1] = found[1] * 1.01
        return tuple(found)

    monkeypatch.setattr(losses._LinearCrossEntropy, "backward", staticmethod(off))
    result = nplm("gradcheck", ffn)
    assert result.code == 1
    verdicts = {row["tensor"]: row["verdict"] for row in result.table}
    assert verdicts.pop("output.weight") == "WRONG"
    assert set(verdicts.values()) == {"holds"}
    assert result.err.count("wrong gradients") == 1
    assert "output.weight" in result.err
    assert nplm("gradcheck", ffn, "--tolerance", 0.1).code == 0


def test_what_is_refused(nplm, ffn, ngram, tmp_path):
    nplm("gradcheck", ngram).refused("n-gram", "nplm train --arch ffn")
    nplm("gradcheck", tmp_path / "none").refused("no such directory")
    nplm("gradcheck", "--arch", "lstmm").refused("did you mean 'lstm'")
    nplm("gradcheck", ffn, "--arch", "lstm").refused("--arch", "RUN")
    nplm("gradcheck", "--entries", 3).refused("--entries", "RUN")
    nplm("gradcheck", ffn, "--text", " ").refused("--text")
    nplm("gradcheck", ffn, "--text", "我", "--tokens", 3).refused("--tokens")


def test_a_mixture_is_refused_with_a_component_to_ask(nplm, ffn, ngram, texts, tmp_path):
    mixture = tmp_path / "mix"
    nplm("mix", ffn, ngram, "--tune", texts / "seg.txt", "-o", mixture).ok()
    nplm("gradcheck", mixture).refused("mixture", "components")


def test_nothing_compared_is_nothing_that_holds(nplm, lstm, tmp_path, monkeypatch):
    from nplm_cli.training import gradient_check

    monkeypatch.setattr(gradient_check, "relative_errors", lambda a, b, floor: a - a + 1)
    monkeypatch.setattr(gradient_check, "_is_kink", lambda *_: True)
    result = nplm("gradcheck", lstm, "--entries", 3).ok()
    assert {row["verdict"] for row in result.table} == {"kinks"}
    assert "nothing was compared" in result.err
    found = nplm("gradcheck", lstm, "--entries", 3, "--json").ok().json
    model = found["models"][0]
    assert [tensor["holds"] for tensor in model["tensors"]] == [None] * 6
    assert found["holds"] is model["holds"] is model["relative_error"] is None


@pytest.mark.parametrize("tolerance", ["inf", "nan", "0"])
def test_a_tolerance_is_a_number(nplm, tolerance):
    nplm("gradcheck", "--arch", "ffn", "--tolerance", tolerance).refused("tolerance")


@pytest.mark.parametrize("line", [("gradcheck", "--arch", "ffn"), ("plot", "xor", "-o", "x.svg")])
def test_a_seed_that_no_generator_takes(nplm, line):
    nplm(*line, "--seed", 2**64).refused("seed")
