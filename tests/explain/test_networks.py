"""What is said of a network is true of it: sums, gates, attention, occlusion, gradients."""

import math

import numpy as np
import pytest
import torch

from nplm_cli.corpus.vocabulary import EOS_ID, UNK_ID
from nplm_cli.errors import NplmError
from nplm_cli.explain import explain
from nplm_cli.explain.network import layers as layers_module
from nplm_cli.explain.network.attribution import word_gradient
from nplm_cli.explain.network.reading import Reading, open_network
from nplm_cli.query.predict import predict, read_prompt
from nplm_cli.query.scorer import open_scorer
from nplm_cli.training.finite_differences import central_differences, relative_errors

# Of known words; with an unknown one; longer than the windows; nothing.
TEXTS = ("我 买 书", "今天 罕见 看见", "今天 老师 看见 我 买 茶 和 猫 。", "")
LONG = TEXTS[2]
ASKED = ("书", "</s>", "罕见")


def explained(run, text, words=(), k=10):
    return explain(run, read_prompt(run, text, segmented=True), words, k)


@pytest.mark.parametrize("text", TEXTS)
def test_probabilities_are_those_of_predict_and_score(network, text):
    record = explained(network, text, ASKED, 99)
    prompt = read_prompt(network, text, segmented=True)
    scorer = open_scorer(network)
    found = {p["word"]: p for p in record["predictions"]}
    for expected in predict(network, scorer, prompt, 99):
        assert found[expected.word]["probability"] == pytest.approx(expected.probability, abs=1e-5)
        assert found[expected.word]["surprisal_bits"] == pytest.approx(
            expected.surprisal_bits, abs=1e-4
        )
    assert sum(p["probability"] for p in record["predictions"]) == pytest.approx(1, abs=1e-12)
    log_p_V = scorer.next_log_probs(prompt.ids)
    for word, said in zip(ASKED, record["asked"], strict=True):
        i = network.vocabulary.index.get(word, UNK_ID)
        assert (said["id"], said["oov"]) == (i, word == "罕见")
        assert said["probability"] == pytest.approx(math.exp(log_p_V[i]), abs=1e-5)
        assert record["predictions"][said["rank"] - 1]["id"] == i
    assert [word["id"] for word in record["explained"]] == [said["id"] for said in record["asked"]]


def test_parts_of_a_logit_add_up(network):
    record = explained(network, LONG, ASKED)
    for word in record["explained"]:
        for choice in word["choices"]:
            total = choice["bias"] + math.fsum(choice["contributions"])
            assert total == pytest.approx(choice["logit"], abs=1e-12)
            assert choice["logit"] - choice["log_z"] == pytest.approx(
                choice["logprob_e"], abs=1e-12
            )
        parts = math.fsum(choice["logprob_e"] for choice in word["choices"])
        assert parts == pytest.approx(word["logprob_e"], abs=1e-12)
    first = record["explained"][0]["choices"][0]
    assert first["state"] == record["output_state"]
    hidden = open_scorer(network).hidden(np.array([[EOS_ID, *read_prompt(network, LONG).ids]]))
    assert record["output_state"] == pytest.approx(hidden[0, -1].tolist(), abs=1e-4, rel=1e-4)


def test_a_contribution_is_weight_times_state_of_the_run(run_of):
    run = run_of("lstm")
    record = explained(run, "我 买", ["书"])
    choice, i = record["explained"][0]["choices"][0], run.vocabulary.index["书"]
    assert choice["weights"] == pytest.approx(run.weights["output.weight"][i].tolist(), abs=0)
    assert choice["bias"] == run.weights["output.bias"][i]
    products = [a * b for a, b in zip(choice["weights"], choice["state"], strict=True)]
    assert choice["contributions"] == products


@pytest.mark.parametrize("text", TEXTS)
def test_places_are_what_a_prediction_sees(network, text):
    record = explained(network, text)
    config = network.config.model
    read = [EOS_ID, *read_prompt(network, text, segmented=True).ids]
    shown = [place["id"] for place in record["places"] for _ in range(place["positions"])]
    if config.arch == "ffn":
        size = config.order - 1 + config.far
        assert shown == ([EOS_ID] * size + read)[-size:]
    else:
        seen = config.seen(len(read))
        assert shown == read[-seen:]
        assert record["out_of_sight"] == len(read) - seen
    table = network.weights["embedding.weight"]
    for place in record["places"]:
        assert place["vector"] == table[place["id"]].tolist()
        assert place["length"] == pytest.approx(np.linalg.norm(place["vector"]))
    unknown = [place["word"] for place in record["places"] if place["unknown"]]
    assert unknown == (["罕见"] if "罕见" in text else [])


def test_words_out_of_sight_change_nothing(network):
    ids = read_prompt(network, LONG).ids
    model = open_network(network)
    reading = Reading(model, ids)
    if not reading.out_of_sight:
        pytest.skip("all of it is in sight")
    gone = reading.out_of_sight - 1  # the boundary stays where it is
    other = [UNK_ID if i != UNK_ID else 2 for i in ids[:gone]] + ids[gone:]
    assert torch.equal(Reading(model, other).output_D, reading.output_D)
    assert Reading(model, ids).ids == reading.ids


def test_occlusion_is_what_a_changed_text_gives(network):
    record = explained(network, LONG, ["书"])
    ids = read_prompt(network, LONG).ids
    scorer, target = open_scorer(network), network.vocabulary.index["书"]
    before = scorer.next_log_probs(ids)[target]
    (moved,) = record["attribution"]
    checked = 0
    first = len(record["places"]) - len(ids)
    for number, place in enumerate(moved["places"]):
        if number < first or place["id"] in (EOS_ID,):
            continue
        at = number - first
        assert place["id"] == ids[at]
        if place["id"] == UNK_ID:
            assert place["occlusion"] is None
            continue
        other = [*ids[:at], UNK_ID, *ids[at + 1 :]]
        after = scorer.next_log_probs(other)[target]
        assert place["occlusion"] == pytest.approx(after - before, abs=2e-5)
        checked += 1
    assert checked >= min(2, len(record["places"]) - 1)
    assert any(abs(p["occlusion"] or 0) > 1e-4 for p in moved["places"])


def test_gradients_are_finite_differences(network):
    model = open_network(network)
    reading = Reading(model, read_prompt(network, "今天 罕见 看见").ids)
    found_SE = word_gradient(reading, 3)
    x_SE = reading.vectors().clone()

    def log_p():
        return reading.log_probs(reading.output(x_SE[None])[0])[3]

    expected = central_differences(log_p, x_SE)
    assert found_SE.abs().max() > 1e-6
    assert relative_errors(found_SE.flatten(), expected, floor=1e-4).max() < 1e-4


def test_figures_of_places(network):
    record = explained(network, "今天 罕见 看见", ["书", "</s>"])
    model = open_network(network)
    reading = Reading(model, read_prompt(network, "今天 罕见 看见").ids)
    x_SE = reading.vectors()
    for moved in record["attribution"]:
        i = network.vocabulary.index[moved["word"]]
        g_SE = word_gradient(reading, i)
        for place, group in zip(moved["places"], record["groups"], strict=True):
            norm, product = g_SE[group].norm(), (g_SE[group] * x_SE[group]).sum()
            assert place["gradient"] == pytest.approx(float(norm), abs=1e-12)
            assert place["gradient_x_input"] == pytest.approx(float(product), abs=1e-12)
        for name in ("occlusion", "gradient", "gradient_x_input"):
            ranked = [p for p in moved["places"] if p[f"{name}_rank"] is not None]
            ranked.sort(key=lambda p: p[f"{name}_rank"])
            sizes = [abs(p[name]) for p in ranked]
            assert sizes == sorted(sizes, reverse=True)


WINDOWS = ["ffn", "ffn-gate", "ffn-modern", "ffn-mean-3-layers-post", "ffn-sum-residual"]


@pytest.mark.parametrize("name", WINDOWS)
def test_hidden_layers_of_a_window(name, run_of):
    run = run_of(name)
    record = explained(run, "我 买 书")
    settings = record["settings"]
    f = {"tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}[settings["activation"]]
    assert len(record["layers"]) == run.config.model.layers
    for layer in record["layers"]:
        gate = 1 if layer["gate"] is None else np.array(layer["gate"])
        assert np.array(layer["units"]) == pytest.approx(f(np.array(layer["sums"])) * gate)
        if settings["gate"]:
            assert (np.array(layer["gate"]) > 0).all()
            assert (np.array(layer["gate"]) < 1).all()
        else:
            assert layer["gate"] is None
    first = record["layers"][0]
    total = np.sum(first["shares"], axis=0) + np.array(first["bias"])
    assert total == pytest.approx(np.array(first["sums"]), abs=1e-12)


def test_the_first_layer_by_hand(run_of):
    run = run_of("ffn")
    record = explained(run, "我 买 书")
    weight, bias = (run.weights[f"encoder.layers.0.{name}"] for name in ("weight", "bias"))
    x = np.concatenate([place["vector"] for place in record["places"]])
    (layer,) = record["layers"]
    assert layer["sums"] == pytest.approx((weight.astype(float) @ x + bias).tolist(), abs=1e-12)
    # What a unit does to ln p: h (u_w - sum over v of p_v u_v).
    rows = run.weights["output.weight"].astype(float)
    target = record["explained"][0]["id"]
    p = np.exp(rows @ np.array(layer["units"]) + run.weights["output.bias"])
    expected = np.array(layer["units"]) * (rows[target] - p / p.sum() @ rows)
    assert layer["influence"] == pytest.approx(expected.tolist(), abs=1e-12)


@pytest.mark.parametrize("name", ["rnn", "rnn-gelu-tied", "rnn-relu-2-layers", "gru-3-layers-tied"])
def test_states_of_recurrent_layers(name, run_of):
    run = run_of(name)
    record = explained(run, LONG)
    assert len(record["layers"]) == run.config.model.layers
    for layer in record["layers"]:
        assert len(layer["h"]) == len(record["places"])
        assert len(layer["h"][0]) == run.config.model.hidden == len(layer["influence"])
    if not record["projected"]:
        assert record["layers"][-1]["h"][-1] == pytest.approx(record["output_state"], abs=1e-12)


@pytest.mark.parametrize("name", ["gru", "gru-3-layers-tied"])
def test_gates_of_gru(name, run_of):
    for layer in explained(run_of(name), LONG)["layers"]:
        r, z, n, h = (np.array(layer[gate]) for gate in "rznh")
        for gate in (r, z):
            assert (gate > 0).all()
            assert (gate < 1).all()
        before = np.vstack([np.zeros_like(h[:1]), h[:-1]])
        assert h == pytest.approx((1 - z) * n + z * before, abs=1e-12)


@pytest.mark.parametrize(
    "name", ["lstm", "lstm-diagonal", "lstm-full-2-layers", "lstm-adaptive-tied"]
)
def test_gates_of_lstm(name, run_of):
    for layer in explained(run_of(name), LONG)["layers"]:
        i, f, g, o, c, h = (np.array(layer[gate]) for gate in "ifgoch")
        for gate in (i, f, o):
            assert (gate > 0).all()
            assert (gate < 1).all()
        before = np.vstack([np.zeros_like(c[:1]), c[:-1]])
        assert c == pytest.approx(f * before + i * g, abs=1e-12)
        assert h == pytest.approx(o * np.tanh(c), abs=1e-12)


ATTENDING = [
    *("attention", "attention-window", "attention-learned-untied"),
    *("transformer", "transformer-window", "transformer-post", "transformer-adaptive"),
]


@pytest.mark.parametrize("name", ATTENDING)
@pytest.mark.parametrize("text", TEXTS)
def test_attention_is_causal_and_sums_to_1(name, text, run_of):
    run = run_of(name)
    record = explained(run, text)
    assert len(record["layers"]) == run.config.model.layers
    for layer in record["layers"]:
        a_HSS = np.array(layer["heads"])
        places = len(record["places"])
        assert a_HSS.shape == (run.config.model.heads, places, places)
        assert a_HSS.sum(2) == pytest.approx(1, abs=1e-12)
        assert (np.triu(a_HSS, 1) == 0).all()
        assert (a_HSS[:, -1] > 0).all()


def test_numbers_that_are_not_the_model_s_are_refused(run_of, monkeypatch):
    right = layers_module.lstm_gates

    def wrong(*arguments):
        step = right(*arguments)
        return step._replace(h=step.h + 1e-6)

    monkeypatch.setattr(layers_module, "lstm_gates", wrong)
    with pytest.raises(NplmError, match="other numbers than the model"):
        explained(run_of("lstm"), "我 买")


def test_the_same_again(network):
    assert explained(network, LONG, ASKED) == explained(network, LONG, ASKED)
