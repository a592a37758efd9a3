"""Runs and vectors that a stranger made: nothing is executed, overwritten or waited for."""

import json
import os
import pickle
import shutil
import zipfile

import numpy as np
import pytest

from nplm_cli.artifacts import TensorFile, sha256_of_file, write_tensors


class Evil:
    """Unpickling this makes a folder that a test looks for."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def run(ffn, tmp_path):
    shutil.copytree(ffn, tmp_path / "run")
    return tmp_path / "run"


ASK = (("score", "我 买 书", "-q"), ("info",), ("neighbors", "书"), ("predict", "我"))


def ask(nplm, run):
    for command, *rest in ASK:
        yield nplm(command, run, *rest)
    yield nplm("train", "--resume", "-o", run, "-q", "--steps", 25)


@pytest.mark.parametrize("kind", ["torch zip", "torch legacy", "zip", "pickle", "npz"])
def test_what_torch_saves_is_never_loaded(nplm, run, tmp_path, kind):
    import torch

    mark, path = tmp_path / "mark", tmp_path / "evil"
    match kind:
        case "torch zip" | "torch legacy":
            old = kind == "torch legacy"
            torch.save({"w": Evil(mark)}, path, _use_new_zipfile_serialization=not old)
        case "zip":
            with zipfile.ZipFile(path, "w") as file:
                file.writestr("../../mark", "x")
        case "npz":
            with open(path, "wb") as file:
                np.savez(file, w=np.array([Evil(mark)], dtype=object))
        case _:
            path.write_bytes(pickle.dumps(Evil(mark)))
    for name in ("model.safetensors", "checkpoint.safetensors", "vocabulary.tsv", "config.json"):
        old = (run / name).read_bytes()
        shutil.copy(path, run / name)
        for result in ask(nplm, run):
            assert result.code in (0, 2)
            assert "Traceback" not in result.err
        nplm("train", "--resume", "-o", run, "-q", "--steps", 25).refused(name) if (
            name != "model.safetensors"
        ) else None
        (run / name).write_bytes(old)
        assert not mark.exists(), "something was executed"
    nplm("neighbors", path, "a").refused(str(path))
    nplm("info", path).refused(str(path))
    assert not mark.exists(), "something was executed"


FILES = ("config.json", "vocabulary.tsv", "model.safetensors", "metrics.jsonl", "report.json")


@pytest.mark.parametrize("name", [*FILES, "checkpoint.safetensors", "unknown.tsv", "data"])
def test_a_link_out_of_a_run_is_not_followed(nplm, run, tmp_path, name):
    outside = tmp_path / "precious"
    shutil.move(run / name, outside)
    before = None if outside.is_dir() else outside.read_bytes()
    (run / name).symlink_to("../precious")
    for result in ask(nplm, run):
        result.refused(f"{name}: a link out of its folder", str(outside))
    assert before is None or outside.read_bytes() == before


def test_a_link_out_of_the_ids_is_not_followed(nplm, run, tmp_path):
    shutil.move(run / "data" / "train.ids", tmp_path / "ids")
    (run / "data" / "train.ids").symlink_to(tmp_path / "ids")
    nplm("train", "--resume", "-o", run, "-q", "--steps", 25).refused("train.ids: a link out")


def test_a_link_within_a_run_and_to_a_run(nplm, run, tmp_path):
    (run / "vocabulary.tsv").rename(run / "words.tsv")
    (run / "vocabulary.tsv").symlink_to("words.tsv")
    (tmp_path / "link").symlink_to("run")
    nplm("score", tmp_path / "link", "我", "-q").ok()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("name", ["vocabulary.tsv", "metrics.jsonl", "data/train.ids"])
def test_a_pipe_in_a_run_is_not_waited_for(spawn, run, name):
    (run / name).unlink()
    os.mkfifo(run / name)
    line = ("train", "--resume", "-o", run, "-q", "--steps", "25")
    for command in (line, ("score", run, "我", "-q")):
        spawn(*command, timeout=30).refused(name)


def test_a_source_that_is_a_pipe_or_device_is_not_read(nplm, run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    record = json.loads((run / "config.json").read_text("utf-8"))
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/stdin"):
        record["data"]["sources"]["train"]["inputs"] = [str(path)]
        (run / "config.json").write_text(json.dumps(record), "utf-8")
        nplm("train", "--resume", "-o", run, "--steps", 20).ok()
    for sources in ([], {"train": []}, {"train": {"inputs": "x", "sha256": "y"}}, {"train": {}}):
        record["data"]["sources"] = sources
        (run / "config.json").write_text(json.dumps(record), "utf-8")
        if sources:
            nplm("train", "--resume", "-o", run, "-q").refused("config.json")


def test_a_checkpoint_of_another_shape_is_refused_before_memory_is_taken(nplm, run, monkeypatch):
    from nplm_cli.training import session

    monkeypatch.setattr(session, "build", lambda *a: pytest.fail("a model was made"))
    record = json.loads((run / "config.json").read_text("utf-8"))
    for key, value in (("dim", 3000), ("hidden", 20_000), ("layers", 64)):
        changed = json.loads(json.dumps(record))
        changed["settings"]["model"][key] = value
        (run / "config.json").write_text(json.dumps(changed), "utf-8")
        nplm("train", "--resume", "-o", run, "-q").refused("checkpoint.safetensors", "config.json")
        for command, *rest in (("score", "我", "-q"), ("neighbors", "书"), ("predict", "我")):
            nplm(command, run, *rest).refused("model.safetensors", "config.json")


@pytest.mark.parametrize("number", [np.nan, np.inf, 3e38])
def test_weights_that_are_no_numbers(nplm, run, texts, number):
    path = run / "model.safetensors"
    file = TensorFile(path)
    tensors = {name: np.array(file[name]) for name in file}
    tensors["output.bias"][:] = number
    tensors["output.weight"][:] = number
    tensors["embedding.weight"][5] = number
    write_tensors(path, tensors)
    nplm("score", run, "我 买 书", "-q").refused("model.safetensors", "nan")
    if not number < np.inf:  # rows all alike and huge give every word the same probability
        nplm("predict", run, "我").refused("model.safetensors", "nan")
        nplm("neighbors", run, "书").refused("nan or inf")
        nplm("eval", run, texts / "seg.txt", "-q").refused("model.safetensors", "nan, inf")


def test_weights_of_another_type(nplm, run, texts):
    path = run / "model.safetensors"
    file = TensorFile(path)
    tensors = {name: np.array(file[name]) for name in file}
    for dtype in (np.float64, np.float16, np.int64, np.bool_):
        write_tensors(path, {name: array.astype(dtype) for name, array in tensors.items()})
        for line in (
            ("score", run, "我"),
            ("neighbors", run, "书"),
            ("eval", run, texts / "seg.txt"),
        ):
            nplm(*line, *(["-q"] if line[0] != "neighbors" else [])).refused("expected float32")


def seal(run, name):
    """Give the changed files of a part the checksums that the index asks for."""
    index = json.loads((run / "data" / "index.json").read_text("utf-8"))
    for file in (f"{name}.ids", f"{name}.sentences", f"{name}.files"):
        index["sha256"][file] = sha256_of_file(run / "data" / file)
    (run / "data" / "index.json").write_text(json.dumps(index), "utf-8")


def test_ids_and_places_that_lead_out_of_their_arrays(nplm, run):
    resume = ("train", "--resume", "-o", run, "-q", "--steps", 25)
    ids, starts = run / "data" / "train.ids", run / "data" / "train.sentences"
    files = run / "data" / "train.files"
    for path, dtype, place, value, said in (
        (ids, "<u2", 3, 60_000, "ids that vocabulary.tsv lacks"),
        (starts, "<i8", 2, 2**62, "train.sentences"),
        (starts, "<i8", 2, -5, "train.sentences"),
        (starts, "<i8", 0, 1, "train.sentences"),
        (starts, "<i8", -1, 5, "train.sentences"),
        (files, "<i8", 0, 2**40, "train.files"),
        (files, "<i8", 0, -1, "train.files"),
    ):
        old = path.read_bytes()
        array = np.frombuffer(old, dtype).copy()
        array[place] = value
        path.write_bytes(array.tobytes())
        seal(run, "train")
        nplm(*resume).refused(said)
        path.write_bytes(old)
    seal(run, "train")
    nplm(*resume).ok()


def test_a_mixture_of_itself(nplm, ffn, ngram, texts, tmp_path):
    folder = tmp_path / "m"
    nplm("mix", ffn, ngram, "--tune", texts / "seg.txt", "-o", folder, "-q").ok()
    second = folder / "components" / "2"
    shutil.rmtree(second)
    for target, said in (
        *(("..", "a mixture within a mixture"), ("../../m", "a mixture within a mixture")),
        *(("../..", "a link out of the mixture"), ("2", "no such directory")),
    ):
        second.symlink_to(target)
        nplm("score", folder, "我", "-q").refused("components/2", said, "or mix again")
        second.unlink()


def test_paths_in_a_mixture_are_names_alone(nplm, ffn, ngram, texts, tmp_path):
    folder = tmp_path / "m"
    nplm("mix", ffn, ngram, "--tune", texts / "seg.txt", "-o", folder, "-q").ok()
    record = json.loads((folder / "config.json").read_text("utf-8"))
    expected = nplm("score", folder, "我 买 书", "-q").ok().out
    for name in ("../../../etc", "/dev/zero", "C:\\x", "\\\\host\\x", "\x1b[31m", str(folder)):
        record["mixture"]["components"][0]["run"] = name
        (folder / "config.json").write_text(json.dumps(record), "utf-8")
        assert nplm("score", folder, "我 买 书", "-q").ok().out == expected
        assert "\x1b" not in nplm("info", folder).ok().out


@pytest.mark.parametrize("beside", ["the run", "a component"])
def test_a_lock_or_an_old_run_from_a_stranger_leads_nowhere(
    nplm, run, ngram, texts, tmp_path, beside
):
    """Both are names that nplm itself gives; here they are links, in an archive from the web."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    asked = run
    if beside == "a component":
        asked = tmp_path / "mixture"
        nplm("mix", run, ngram, "--tune", texts / "seg.txt", "-o", asked, "-q").ok()
        run = asked / "components" / "1"
    old = run.with_name(f".{run.name}.nplm-old")
    (run.with_name(f".{run.name}.lock")).symlink_to(precious)
    shutil.move(run, old)
    for words in (("info", asked), ("train", "--resume", "-o", asked)):
        result = nplm(*words)
        assert result.code == 2, result
    assert precious.read_text() == "precious"
    assert not run.exists()
    (run.with_name(f".{run.name}.lock")).unlink()
    shutil.move(old, tmp_path / "outside")
    old.symlink_to(tmp_path / "outside")
    assert nplm("predict", asked, "我").code == 2
    assert not run.exists()
