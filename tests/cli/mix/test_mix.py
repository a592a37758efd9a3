"""``nplm mix``: weights, formula and what the commands make of a mixture."""

import json
import math

import numpy as np
import pytest

from nplm_cli.query.run import Run


def test_report(mixed, kn, ffn, lstm, tune):
    folder, result = mixed
    report = result.json
    assert report == json.loads((folder / "report.json").read_text("utf-8"))
    assert (report["schema"], report["arch"], report["run"]) == (1, "mixture", "mix")
    parts = report["components"]
    assert [part["run"] for part in parts] == [str(kn), str(ffn), str(lstm)]
    assert [part["arch"] for part in parts] == ["ngram", "ffn", "lstm"]
    [cache] = report["caches"]
    assert (cache["kind"], cache["size"]) == ("neural", 20)
    weights = [part["weight"] for part in (*parts, cache)]
    assert sum(weights) == pytest.approx(1, abs=1e-9)
    assert all(0 <= weight <= 1 for weight in weights)
    assert report["tuned_on"] == [str(tune)]
    assert report["training"]["iterations"] > 0
    assert report["valid"] is report["test"] is None
    # Fitted on this text: no component alone is better on it, but for what EM leaves.
    best = min(part["ppl"] for part in parts)
    assert report["tune"]["ppl"] < best * (1 + 1e-6)
    assert sum(weight > 0.01 for weight in weights) > 1
    assert report["tune"]["baselines"]["kneser_ney"]["order"] == 3


def test_components_measured_alone(nplm, mixed, kn, ffn, lstm, tune):
    """The policy is that of the first network, the window model: sentence."""
    parts = mixed[1].json["components"]
    for folder, part in zip((kn, ffn, lstm), parts, strict=True):
        alone = nplm("eval", folder, tune, "--context", "sentence", "--json", "-q").ok().json
        assert part["ppl"] == pytest.approx(alone["ppl"], rel=1e-6)
    assert mixed[1].json["tune"]["context"] == "sentence"
    assert f"{lstm} (lstm) was trained under --context stream" in mixed[1].err


def test_measured_again_and_named(nplm, mixed, tune):
    folder, result = mixed
    report = result.json
    ledger = nplm("eval", folder, tune, "--json", "-q").ok().json
    assert ledger["ppl"] == pytest.approx(report["tune"]["ppl"], rel=1e-6)
    assert ledger["order"] is None
    names = ("component", "run", "arch", "weight")
    assert ledger["mixture"] == [
        {name: part[name] for name in names} for part in report["components"]
    ]
    assert ledger["caches"] == report["caches"]
    rows = {row["figure"]: row for row in nplm("eval", folder, tune).ok().table}
    for part in report["components"]:
        row = rows[f"component {part['component']}"]
        assert float(row["value"]) == pytest.approx(part["weight"], rel=1e-5)
        assert part["arch"] in row["remark"]
    assert "20 words" in rows["cache neural"]["remark"]
    assert "whole file" in rows["cache neural"]["remark"]


def test_torch_and_numpy_agree(mixed, nplm, tune):
    from nplm_cli.measure import read_text
    from nplm_cli.query.scorer import open_scorer

    run = Run(mixed[0])
    part = read_text(run, [str(tune)])
    for policy in ("sentence", "stream"):
        nll_N = open_scorer(run).nll(part, policy)
        ledger = nplm("eval", mixed[0], tune, "--context", policy, "--json", "-q").ok().json
        assert ledger["nll_nats_total"] == pytest.approx(nll_N.sum(), rel=1e-6)


def test_a_mixture_of_two_is_the_formula(nplm, kn, ffn, tune, tmp_path):
    report = nplm("mix", kn, ffn, "--tune", tune, "-o", tmp_path / "m", "--json", "-q").ok().json
    a, b = (part["weight"] for part in report["components"])
    logs = []
    for run in (kn, ffn, tmp_path / "m"):
        records = nplm("score", run, "--file", tune, "--per-token", "--json", "-q").ok().records
        logs.append([t["logprob_e"] for record in records for t in record["per_token"]])
    for x, y, mixed in zip(*logs, strict=True):
        assert math.exp(mixed) == pytest.approx(a * math.exp(x) + b * math.exp(y), rel=1e-5)


def test_questions(nplm, mixed):
    folder = mixed[0]
    predictions = nplm("predict", folder, "我们", "-k", 5, "--json").ok()
    [cache] = mixed[1].json["caches"]
    assert predictions.json["caches"] == [{**cache, "weight": 0.0, "reach": "none"}]
    first = predictions.json["predictions"][0]
    [word] = (
        nplm("score", folder, "--given", "我们", "--word", first["word"], "--json").ok().records
    )
    assert word["probability"] == pytest.approx(first["probability"], rel=1e-6)
    samples = nplm("generate", folder, "--samples", 3, "--seed", 4, "--json").ok().records
    assert [record["finished"] for record in samples] == [True] * 3
    record = nplm("info", folder, "--json").ok().json
    assert (record["arch"], record["context"]) == ("mixture", "sentence")
    assert "lstm" in record["component_3"]
    assert "neural cache" in record["cache_1"]


def test_force_replaces(nplm, ffn, kn, tune, tmp_path):
    folder = tmp_path / "m"
    nplm("mix", ffn, kn, "--tune", tune, "-o", folder, "-q").ok()
    nplm("mix", kn, "--cache", "unigram", "--tune", tune, "-o", folder, "--force", "-q").ok()
    assert [path.name for path in (folder / "components").iterdir()] == ["1"]
    # A component of the old mixture may stand in the new one.
    again = nplm(
        "mix",
        folder / "components" / "1",
        ffn,
        "--tune",
        tune,
        "-o",
        folder,
        "--force",
        "--json",
        "-q",
    ).ok()
    assert [part["arch"] for part in again.json["components"]] == ["ngram", "ffn"]
    assert nplm("info", folder).ok()


def test_the_grid_is_searched(nplm, lstm, tune, tmp_path):
    """What is chosen is at least as good as each candidate by itself."""
    options = ("--context", "stream", "--json", "-q")
    found = (
        nplm("mix", lstm, "--cache", "neural", "--tune", tune, "-o", tmp_path / "m", *options)
        .ok()
        .json
    )
    for size, theta in ((500, 0.05), (500, 1.0), (2000, 0.3)):
        other = nplm(
            "mix", lstm, "--cache", "neural", "--cache-size", size, "--cache-theta", theta,
            "--tune", tune, "-o", tmp_path / f"m{size}-{theta}", *options,
        ).ok().json  # fmt: skip
        assert (other["caches"][0]["size"], other["caches"][0]["theta"]) == (size, theta)
        assert found["tune"]["ppl"] <= other["tune"]["ppl"] * (1 + 2e-6)


def test_a_table_for_people(nplm, ffn, kn, tune, tmp_path):
    result = nplm("mix", ffn, kn, "--cache", "unigram", "--tune", tune, "-o", tmp_path / "m").ok()
    parts = [row["part"] for row in result.table]
    assert parts == ["components/1", "components/2", "cache", "mixture"]
    assert result.table[-1]["what"] == f"fitted on {tune}"
    weights = [float(row["weight"]) for row in result.table]
    assert sum(weights[:-1]) == pytest.approx(1, abs=1e-4)
    assert np.all(np.array([float(row["ppl"]) for row in result.table if row["ppl"] != "-"]) > 1)
    assert "iterations of EM" in result.err
