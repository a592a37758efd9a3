"""Every architecture through the same door: train, resume, eval, score, and the same bytes.

What only some architectures can do is asked here, too: remember a word from further back than any
window.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.config import Config, ModelConfig
from nplm_cli.corpus.preparation import Sources
from nplm_cli.corpus.shards import Part, open_parts
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.measure import evaluate_text
from nplm_cli.pipeline import resume, train
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer
from nplm_cli.query.sentences import SentenceReader, score_sentences

NEURAL = sorted(name for name, architecture in ARCHITECTURES.items() if architecture.neural)
SMALL = {
    "dim": 8, "hidden": 12, "window": 6, "stride": 2, "threads": 1, "batch": 8, "bptt": 5, "lr": 0.01,
    "dropout": 0.1, "steps": 30, "max_size": 30, "device": "cpu",
}  # fmt: skip
RANDOM_WORDS = [
    "red",
    "green",
    "blue",
    "small",
    "large",
    "old",
    "new",
    "cat",
    "dog",
    "bird",
    "fish",
    "sees",
    "likes",
    "fears",
    "finds",
    "the",
    "a",
]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    random = np.random.default_rng(0)
    lines = [" ".join(random.choice(RANDOM_WORDS, random.integers(2, 12))) for _ in range(150)]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def settings(arch, **changes):
    return Config().replace(arch=arch, **{**SMALL, "format": "segmented", **changes})


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module", params=NEURAL)
def arch(request):
    return request.param


@pytest.fixture(scope="module", params=["sentence", "stream"])
def trained(request, arch, text, tmp_path_factory):
    folder = tmp_path_factory.mktemp(arch) / "run"
    train(Sources((str(text),), (), ()), folder, settings(arch, context=request.param))
    return folder


def test_report_and_evaluation_agree(trained, text):
    """The report of the training, torch on the same text, and numpy on the same ids."""
    run = Run(trained)
    report = run.report()
    assert report["arch"] == run.config.model.arch
    assert report["valid"]["order"] == (
        None if run.config.model.context is None else run.config.model.context + 1
    )
    moves = "stride" in ARCHITECTURES[report["arch"]].settings
    assert report["valid"]["stride"] == (2 if moves else None)
    policy = run.config.training.context
    valid = open_parts(trained / "data")["valid"]
    scored = open_scorer(run).nll(valid, policy).sum()
    assert scored == pytest.approx(report["valid"]["nll_nats_total"], rel=1e-6)
    whole = evaluate_text(run, [str(text)])
    from nplm_cli.corpus.formats import read_sentences
    from nplm_cli.corpus.shards import encode_sentences

    reader = read_sentences([str(text)], run.config.corpus, recipe=run.recipe)
    nll_N = open_scorer(run).nll(encode_sentences(reader, run.vocabulary), policy)
    assert nll_N.sum() == pytest.approx(whole["nll_nats_total"], rel=1e-6)


def test_another_stride(trained, text):
    run = Run(trained)
    if "stride" not in ARCHITECTURES[run.config.model.arch].settings:
        with pytest.raises(ConfigError, match="no window that moves"):
            evaluate_text(run, [str(text)], stride=1)
        return
    own = evaluate_text(run, [str(text)])
    other = evaluate_text(run, [str(text)], stride=1)
    assert (own["stride"], other["stride"]) == (2, 1)
    assert own["nll_nats_total"] != other["nll_nats_total"]
    assert evaluate_text(run, [str(text)]) == own  # the run itself is as it was


def test_a_run_whose_settings_lack_the_newer_keys(trained, text, tmp_path):
    """config.json of an earlier version: what it does not name has its default."""
    old = tmp_path / "old"
    shutil.copytree(trained, old)
    record = json.loads((old / "config.json").read_text("utf-8"))
    model = record["settings"]["model"]
    resolved = ModelConfig.from_json(model, "x").resolved()
    defaults = ModelConfig(arch=model["arch"])
    for name in list(model):
        left_out = ModelConfig.from_json({k: v for k, v in model.items() if k != name}, "x")
        if name != "arch" and left_out.resolved() == resolved and name not in ("dim", "hidden"):
            del model[name]
    assert "norm" not in model
    assert "stride" not in model or resolved.stride != defaults.resolved().stride
    (old / "config.json").write_text(json.dumps(record))
    assert evaluate_text(Run(old), [str(text)]) == evaluate_text(Run(trained), [str(text)])
    resume(old, changes={"steps": 32})
    assert Run(old).report()["training"]["steps"] == 32


def test_a_refused_resume_changes_nothing(trained, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(trained, broken)
    checkpoint = broken / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    before = {p.name: p.read_bytes() for p in broken.iterdir() if p.is_file()}
    with pytest.raises(ArtifactError):
        resume(broken, changes={"steps": 40})
    assert {p.name: p.read_bytes() for p in broken.iterdir() if p.is_file()} == before


SAME_BYTES = """
import json, sys
from pathlib import Path
from nplm_cli.config import Config
from nplm_cli.corpus.preparation import Sources
from nplm_cli.pipeline import train
for folder, changes in json.loads(sys.argv[2]).items():
    train(Sources((sys.argv[1],), (), ()), Path(folder), Config().replace(**changes))
"""


@pytest.fixture(scope="module")
def elsewhere(text, tmp_path_factory):
    """The same trainings in another process, under another hash seed; and one of another seed."""
    folder = tmp_path_factory.mktemp("elsewhere")
    same = {"format": "segmented", **SMALL}
    wanted = {
        f"{arch}-{policy}": {**same, "arch": arch, "context": policy}
        for arch in NEURAL
        for policy in ("sentence", "stream")
    }
    wanted["seed 2"] = {**same, "arch": "ffn", "seed": 2}
    told = json.dumps({str(folder / name): changes for name, changes in wanted.items()})
    subprocess.run(
        [sys.executable, "-c", SAME_BYTES, str(text), told],
        env={**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    return folder


def test_same_seed_same_bytes_in_another_process_and_hash_seed(trained, arch, elsewhere):
    policy = Run(trained).config.training.context
    assert digest(elsewhere / f"{arch}-{policy}") == digest(trained)
    assert digest(elsewhere / "seed 2") != digest(trained)


def test_interrupted_and_resumed_is_uninterrupted(trained, arch, text, tmp_path):
    config = Run(trained).config
    stop = iter([False] * 6 + [True])
    with pytest.raises(KeyboardInterrupt):
        train(
            Sources((str(text),), (), ()),
            tmp_path / "run",
            settings(arch, context=config.training.context),
            interrupted=lambda: next(stop, True),
        )
    resume(tmp_path / "run")
    assert digest(tmp_path / "run") == digest(trained)


def test_a_score_does_not_depend_on_company(trained):
    """P21: alone, in a batch of 64, beside a neighbour of 5,000 words, in any order."""
    run = Run(trained)
    scorer, reader = open_scorer(run), SentenceReader(run.recipe, True)
    random = np.random.default_rng(1)
    texts = [" ".join(random.choice(RANDOM_WORDS, random.integers(1, 15))) for _ in range(63)]
    texts.append(" ".join(random.choice(RANDOM_WORDS, 5000)))
    alone = [
        score_sentences(run, scorer, [t], reader, context="sentence")[0].logprob_e for t in texts
    ]
    for order in (np.arange(64), random.permutation(64)):
        together = score_sentences(
            run, scorer, [texts[i] for i in order], reader, context="sentence"
        )
        for i, sentence in zip(order, together, strict=True):
            assert sentence.logprob_e == pytest.approx(alone[i], abs=1e-5 * max(1, -alone[i] / 50))


def last_nll(run, ids):
    """Nats of the last id after the others, the text read as one stream."""
    part = Part(np.array(ids), np.array([0, len(ids)]), np.array([0]), 0)
    return open_scorer(run).nll(part, "stream")[-1]


def test_what_reaches_back_beyond_any_window(trained, arch):
    """A recurrent model's prediction depends on a word 12 words back; a window model's does not."""
    run = Run(trained)
    random = np.random.default_rng(2)
    ids = random.integers(2, len(run.vocabulary), 14).tolist()
    other = [*([5] if ids[0] != 5 else [6]), *ids[1:]]
    difference = abs(last_nll(run, ids) - last_nll(run, other))
    context = run.config.model.context
    assert (difference > 0) == (context is None)
    if context is not None:
        assert context < 13
