"""``nplm homework``: from text to report, on after a kill, and refused where it would mislead."""

import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

SMALL = ["--dim", "4", "--hidden", "6", "--order", "3", "--max-size", "60", "--random", "6", "-q"]
QUICK = [*SMALL, "--archs", "ffn,lstm", "--seeds", "2", "--epochs", "1"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Some 60 documents of a language of our own, and a text to validate on."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = random.Random(1)
    things = [f"{a}{b}" for a in "书车茶花山" for b in "本子园水上中大小"]

    def text(documents):
        return "\n\n".join(
            "\n".join(
                f"我 {rng.choice('看买卖')} {rng.choice(things)} 和 {rng.choice(things)} 。"
                for _ in range(8)
            )
            for _ in range(documents)
        )

    (folder / "train.txt").write_text(text(60), "utf-8")
    (folder / "valid.txt").write_text(text(6), "utf-8")
    return folder


@pytest.fixture(scope="module")
def done(corpus, nplm, tmp_path_factory):
    """A finished homework and what it wrote on stdout."""
    folder = tmp_path_factory.mktemp("homework") / "report"
    result = nplm(
        "homework", corpus / "train.txt", "--valid", corpus / "valid.txt", "-o", folder, *QUICK
    ).ok()
    return folder, result


def results_of(folder):
    return json.loads((folder / "results.json").read_text("utf-8"))


def weights(folder, sha256):
    return {
        str(path.parent.relative_to(folder)): sha256(path)
        for path in sorted(folder.glob("*/*/model.safetensors"))
    }


def test_what_it_leaves(done):
    folder, result = done
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "results.json", "report.html", "report.md", "figures", "runs"}
    assert sorted(path.name for path in (folder / "runs").iterdir()) == [
        "ffn-1",
        "ffn-2",
        "lstm-1",
        "lstm-2",
    ]
    rows = result.table
    assert [row["arch"] for row in rows] == ["ffn", "lstm"]
    for row in rows:
        low, mean, high = (float(row[f"ppl_{kind}"]) for kind in ("min", "mean", "max"))
        assert low <= mean <= high
        assert low < high


def test_models_share_text_vocabulary_and_settings_but_for_architecture_and_seed(done, sha256):
    folder, _ = done
    runs = sorted((folder / "runs").iterdir())
    for name in ("vocabulary.tsv", "data/train.ids", "data/valid.ids", "baseline.safetensors"):
        assert len({sha256(run / name) for run in runs}) == 1, name
    settings = [json.loads((run / "config.json").read_text("utf-8"))["settings"] for run in runs]
    for one in settings:
        assert one["training"]["seed"] in (1, 2)
        one["training"]["seed"] = 1
    assert settings[0] == settings[1] != settings[2] == settings[3]


def test_results_agree_with_the_other_commands(done, nplm):
    folder, _ = done
    results = results_of(folder)
    corpus = results["corpora"][0]
    entry = corpus["neighbors"][0]
    shown = nplm("neighbors", folder / "runs" / "lstm-1", entry["word"], "--json").ok().json
    assert [n["word"] for n in entry["lists"]["lstm"]] == [n["word"] for n in shown["neighbors"]]
    other = nplm("neighbors", folder / "runs" / "lstm-2", entry["word"], "--json").ok().json
    names = {n["word"] for n in other["neighbors"]}
    for neighbor in entry["lists"]["lstm"]:
        assert neighbor["seeds"] == 1 + (neighbor["word"] in names)
    run = folder / "runs" / "ffn-2"
    report = json.loads((run / "report.json").read_text("utf-8"))
    assert corpus["models"][0]["seeds"][1]["valid"] == report["valid"]
    assert [w["word"] for w in corpus["words"]] == [e["word"] for e in corpus["neighbors"]]
    assert corpus["data"]["oov_share"]["valid"] == report["valid"]["oov_share"]
    assert results["alignment"] is None


def test_the_same_command_trains_nothing_anew(done, corpus, nplm, sha256):
    folder, _ = done
    before = weights(folder, sha256)
    stamps = {p: p.stat().st_mtime_ns for p in folder.glob("runs/*/checkpoint.safetensors")}
    result = nplm(
        "homework", "--config", folder / "config.json", "-o", folder, "-q", "--lang", "en"
    )
    result.ok()
    assert weights(folder, sha256) == before
    assert {p: p.stat().st_mtime_ns for p in folder.glob("runs/*/checkpoint.safetensors")} == stamps
    assert '<html lang="en"' in (folder / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_more_seeds_and_other_words_go_on_from_what_is_there(done, corpus, nplm, sha256, tmp_path):
    folder, _ = done
    before = weights(folder, sha256)
    (tmp_path / "words.txt").write_text("我 书本", "utf-8")
    options = ["--seeds", 3, "--words", tmp_path / "words.txt", "--random", 4, "-q"]
    told = nplm("homework", "--config", folder / "config.json", "-o", folder, *options).ok().err
    assert "--random has no effect beside --words" in told
    after = weights(folder, sha256)
    assert after.items() > before.items()
    assert set(after) - set(before) == {"runs/ffn-3", "runs/lstm-3"}
    assert [w["word"] for w in results_of(folder)["corpora"][0]["words"]] == ["我", "书本"]


@pytest.mark.slow
def test_its_config_repeats_it_to_the_byte(done, nplm, sha256, tmp_path):
    folder, _ = done
    again = tmp_path / "again"
    options = ["--archs", "lstm", "--seeds", 1, "--random", 3, "-q"]
    result = nplm("homework", "--config", folder / "config.json", "-o", again, *options).ok()
    assert "one seed" in result.err
    nplm("neighbors", again, "我").refused("is a homework; its runs are runs/lstm-1")
    expected = weights(folder, sha256)["runs/lstm-1"]
    assert weights(again, sha256) == {"runs/lstm-1": expected}
    assert results_of(again)["corpora"][0]["comparison"] is None


@pytest.mark.slow
def test_other_settings_are_refused_until_force(done, corpus, nplm, sha256, tmp_path):
    folder = tmp_path / "report"
    shutil.copytree(done[0], folder)
    line = ["homework", corpus / "train.txt", "--valid", corpus / "valid.txt", "-o", folder, *SMALL]
    line += ["--archs", "ffn", "--seeds", 1]
    before = sorted(folder.rglob("*")), weights(folder, sha256)
    nplm(*line, "--epochs", 2).refused("--epochs (1 there, 2 asked for)", "--force")
    assert (sorted(folder.rglob("*")), weights(folder, sha256)) == before
    (folder / "mine.json").write_text("mine", "utf-8")
    nplm(*line, "--epochs", 2, "--force").ok()
    assert results_of(folder)["settings"]["training"]["epochs"] == 2
    assert weights(folder, sha256)["runs/ffn-1"] != before[1]["runs/ffn-1"]
    assert (folder / "mine.json").read_text("utf-8") == "mine"


@pytest.mark.slow
def test_words_from_standard_input_are_read_once(corpus, nplm, tmp_path):
    line = ["homework", corpus / "train.txt", "-o", tmp_path / "report", *SMALL, "--archs", "ffn",
            "--seeds", 1, "--steps", 2, "--words", "-"]  # fmt: skip
    for words in (["我", "书本"], ["车子"]):
        nplm(*line, stdin=" ".join(words).encode()).ok()
        listed = results_of(tmp_path / "report")["corpora"][0]["words"]
        assert [word["word"] for word in listed] == words


@pytest.mark.slow
def test_text_from_standard_input_is_not_asked_for_again(corpus, nplm, tmp_path):
    line = ["homework", "-", "-o", tmp_path / "report", *SMALL, "--archs", "ffn", "--seeds", 1,
            "--steps", 2]  # fmt: skip
    nplm(*line, stdin=(corpus / "train.txt").read_bytes()).ok()
    line.remove("-q")
    assert "standard input is not read again" in nplm(*line, stdin=b"other").ok().err


@pytest.mark.slow
def test_a_vocabulary_too_small_to_compare_by_is_still_reported(corpus, nplm, tmp_path):
    folder = tmp_path / "report"
    nplm("homework", corpus / "train.txt", "-o", folder, *QUICK, "--max-size", 15, "--steps", 2,
         "--epochs", "1").refused("--epochs and --steps")  # fmt: skip
    line = [word for word in QUICK if word not in ("--epochs", "1")]
    nplm("homework", corpus / "train.txt", "-o", folder, *line, "--max-size", 15, "--steps", 2,
         "--lang", "en").ok()  # fmt: skip
    assert results_of(folder)["corpora"][0]["comparison"] is None
    assert "too few words to compare spaces by" in (folder / "report.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="file names are not bytes everywhere")
def test_a_file_name_that_is_no_utf8(corpus, nplm, tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xd6\xd0.txt")
    with open(name, "wb") as file:
        file.write((corpus / "train.txt").read_bytes())
    line = ["homework", name, "-o", tmp_path / "report", *SMALL, "--archs", "ffn", "--seeds", 1,
            "--steps", 2]  # fmt: skip
    for _ in range(2):
        nplm(*line).ok()
    assert "\\udcd6\\udcd0.txt" in (tmp_path / "report" / "report.html").read_text("utf-8")


def test_what_would_mislead_or_cannot_work_is_refused(corpus, nplm, tmp_path):
    train, out = corpus / "train.txt", tmp_path / "out"
    (tmp_path / "copy.txt").write_bytes(train.read_bytes())
    (tmp_path / "words.txt").write_text("neverseen", "utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine", "utf-8")
    cases = [
        ([train], ["--out"]),
        ([train, "-o", out, "--valid", tmp_path / "copy.txt"], ["is the training text"]),
        ([train, "-o", out, "--archs", "lstn"], ["did you mean 'lstm'"]),
        ([train, "-o", out, "--words", tmp_path / "words.txt"], ["has no word of this list"]),
        ([train, "-o", out, "--words", tmp_path / "gone.txt"], ["gone.txt"]),
        (
            [train, "-o", out, "--valid", corpus / "valid.txt", "--test", corpus / "valid.txt"],
            ["the test text is the validation text"],
        ),
        ([train, "-o", out, "--max-size", "30", "--top", "29"], ["--top 29", "at most 28"]),
        ([train, "-o", out, "--second-corpus", tmp_path / "gone.txt"], ["gone.txt: no such file"]),
        (["-", "-o", out, "--words", "-"], ["- given twice"]),
        ([train, "-o", out, "--lang", "char"], ["--corpus-lang"]),
        ([train, "-o", out, "--dictionary", "d.tsv"], ["--second-corpus"]),
        ([train, "-o", out, "--preset", "homewrk"], ["did you mean 'homework'"]),
        ([train, "-o", tmp_path / "full"], ["is no homework"]),
        ([train, "-o", train], ["is a file"]),
        ([tmp_path / "none.txt", "-o", out], ["none.txt"]),
        (["-o", out], ["no corpus"]),
        (["-o", out, "--valid", train], ["without its corpus"]),
        (["-o", out, "--config", corpus / "valid.txt"], ["not JSON"]),
        ([train, "-o", out, "--progress", "loud"], ["--progress"]),
    ]
    for line, parts in cases:
        nplm("homework", *line, "-q").refused(*parts)
        assert not out.exists(), line
    assert (tmp_path / "full" / "mine.txt").read_text("utf-8") == "mine"


def test_without_the_figures_library_it_says_what_to_install(corpus, nplm, tmp_path, monkeypatch):
    def without(name):
        return None if name == "matplotlib" else importlib.util.find_spec(name)

    monkeypatch.setattr("nplm_cli.reports.find_spec", without)
    line = ["homework", corpus / "train.txt", "-o", tmp_path / "out", "-q"]
    nplm(*line).refused("pip install matplotlib")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_training_that_fails_is_named_and_the_others_are_kept(corpus, nplm, tmp_path):
    line = ["homework", corpus / "train.txt", "-o", tmp_path / "out", *QUICK]
    line += ["--optimizer", "sgd", "--lr", "1e9", "--clip", 0, "--archs", "ffn"]
    assert "ffn seed 1" in nplm(*line, "--workers", 1).refused("learning rate", code=1)
    assert (tmp_path / "out" / "runs" / "ffn-2" / "config.json").exists()


@pytest.fixture
def start(environment):
    """Start a homework in a process of its own."""
    processes = []

    def run(*line):
        process = subprocess.Popen(
            [sys.executable, "-m", "nplm_cli", "homework", *map(str, line)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(condition, process, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


LONG = [*SMALL, "--archs", "ffn,rnn", "--seeds", "1", "--steps", "150", "--patience", "0",
        "--eval-every", "20", "--checkpoint-every", "0"]  # fmt: skip


def some_step(folder):
    return lambda: any(folder.glob("runs/*/metrics.jsonl"))


@pytest.mark.slow
def test_killed_and_started_again_it_ends_with_the_same_bytes(start, corpus, sha256, tmp_path):
    line = [corpus / "train.txt", *LONG, "-o"]
    whole = start(*line, tmp_path / "whole")
    assert whole.wait(120) == 0, whole.communicate()
    cut = start(*line, tmp_path / "cut")
    wait_for(some_step(tmp_path / "cut"), cut)
    cut.kill()
    cut.wait()
    again = start(*line, tmp_path / "cut")
    assert again.wait(120) == 0, again.communicate()
    assert weights(tmp_path / "cut", sha256) == weights(tmp_path / "whole", sha256)


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_trained_and_says_how_to_go_on(start, corpus, nplm, tmp_path):
    folder = tmp_path / "out"
    process = start(corpus / "train.txt", *LONG, "--steps", 10**7, "-o", folder)
    wait_for(some_step(folder), process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == b""
    assert b"the same command goes on" in err
    assert b"Traceback" not in err
    for run in (folder / "runs").iterdir():
        assert (run / "config.json").exists()
    deadline = time.monotonic() + 10
    while _workers(folder):
        assert time.monotonic() < deadline, "a training is left behind"
        time.sleep(0.1)


def _workers(folder):
    """Processes that still train a run in the folder."""
    found = []
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if str(folder).encode() in file.read():
                    found.append(pid)
        except OSError:
            continue
    return found
