"""The worked example of docs/conventions.md: each figure there comes out of the program."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = "the cat sat\nthe dog sat\nthe cat slept\na dog sat\n"
TEST = "the cat sat\na cat ran\n"
# add-1 bigram probabilities, V = 6: the cat sat </s> <unk> cat <unk> </s>
PROBABILITIES = [4 / 10, 3 / 9, 2 / 8, 4 / 9, 2 / 10, 1 / 8, 2 / 8, 2 / 8]


def _nplm(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "nplm_cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worked")
    (folder / "train.txt").write_text(TRAIN)
    (folder / "test.txt").write_text(TEST)
    settings = "--format segmented --split-by none --arch ngram --order 2 --smoothing addk"
    _nplm(folder, "train", "train.txt", *settings.split(), "-o", "run", "-q")
    return folder


def test_figures_are_those_of_the_page(folder: Path, repository: Path) -> None:
    ledger = json.loads(_nplm(folder, "eval", "run", "test.txt", "--json"))
    page = (repository / "docs" / "conventions.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([0-9.]+) \|$", page, re.MULTILINE))
    assert len(rows) >= 15
    flat = {
        **ledger,
        "always_unk_accuracy": ledger["baselines"]["always_unk_accuracy"],
        "unigram_ppl": ledger["baselines"]["unigram"]["ppl"],
        "kneser_ney_ppl": ledger["baselines"]["kneser_ney"]["ppl"],
        "ratio": ledger["ppl_ratio_to_kneser_ney"]["ratio"],
    }
    for name, shown in rows.items():
        assert f"{flat[name]:.6g}" == shown, name


def test_figures_follow_from_the_probabilities(folder: Path) -> None:
    ledger = json.loads(_nplm(folder, "eval", "run", "test.txt", "--json"))
    nats = [-math.log(p) for p in PROBABILITIES]
    assert ledger["nll_nats_total"] == pytest.approx(math.fsum(nats), rel=1e-12)
    words = [n for t, n in enumerate(nats) if t not in (3, 7)]
    assert ledger["ppl_without_eos"] == pytest.approx(math.exp(sum(words) / 6), rel=1e-12)
    known = [n for t, n in enumerate(nats) if t not in (4, 6)]
    assert ledger["ppl_excluding_oov"] == pytest.approx(math.exp(sum(known) / 6), rel=1e-12)
    adjusted = sum(nats) + 2 * math.log(2)
    assert ledger["ppl_oov_adjusted"] == pytest.approx(math.exp(adjusted / 8), rel=1e-12)
    assert ledger["bits_per_char"] == pytest.approx(adjusted / math.log(2) / 18, rel=1e-12)


@pytest.mark.parametrize("layout", ["kenlm", "srilm"])
def test_layouts_are_those_of_the_page(folder: Path, repository: Path, layout: str) -> None:
    lines = _nplm(
        folder, "score", "run", "the cat sat", "a cat ran", "--format", layout, "-q"
    ).splitlines()
    page = (repository / "docs" / "conventions.md").read_text("utf-8")
    for line in lines:
        if line:
            assert line.expandtabs(1).strip() in page.expandtabs(1), line
