"""``nplm mix``: what is refused, what is told, and what a failure leaves behind."""

import json
import resource
import shutil
import signal

import pytest


def test_other_vocabularies(nplm, ffn, kn, texts, train, tune, tmp_path):
    train(texts / "seg.txt", tmp_path / "other", "--arch", "ngram", "--max-size", 20).ok()
    line = nplm("mix", ffn, tmp_path / "other", "--tune", tune, "-o", tmp_path / "m").refused(
        "id 22 is", "nothing more", f"--vocab {ffn / 'vocabulary.tsv'}"
    )
    token = (ffn / "vocabulary.tsv").read_text("utf-8").splitlines()[22].split("\t")[0]
    assert repr(token) in line
    shutil.copytree(kn, tmp_path / "swapped")
    path = tmp_path / "swapped" / "vocabulary.tsv"
    rows = path.read_text("utf-8").splitlines()
    rows[4], rows[5] = rows[5], rows[4]
    path.write_text("\n".join(rows) + "\n", "utf-8")
    config = path.with_name("config.json")
    config.write_text(config.read_text("utf-8").replace('"vocabulary_sha256"', '"x"'), "utf-8")
    nplm("mix", ffn, tmp_path / "swapped", "--tune", tune, "-o", tmp_path / "m").refused(
        f"id 4 is {rows[5].split()[0]!r} in the one and {rows[4].split()[0]!r} in the other"
    )
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (("KN", "--tune", "TUNE", "-o", "OUT"), ["one run alone is no mixture"]),
        (("KN", "FFN", "-o", "OUT"), ["--tune FILE"]),
        (("KN", "FFN", "--tune", "TUNE"), ["-o MIX"]),
        (("KN", "MIX", "--tune", "TUNE", "-o", "OUT"), ["is a mixture already", "components"]),
        (("KN", "nowhere", "--tune", "TUNE", "-o", "OUT"), ["no such directory"]),
        (("KN", "FFN", "--tune", "nowhere", "-o", "OUT"), ["nowhere"]),
        (("KN", "FFN", "--tune", "EMPTY", "-o", "OUT"), ["EMPTY"]),
        (("KN", "FFN", "--tune", "TUNE", "-o", "MIX"), ["holds a run already: --force replaces"]),
        (("KN", "--tune", "TUNE", "-o", "OUT", "--cache", "neural"), ["needs a neural model"]),
        (("KN", "--tune", "TUNE", "-o", "OUT", "--cache", "x"), ["unigram or neural"]),
        (("KN", "FFN", "--tune", "TUNE", "-o", "OUT", "--cache-size", "9"), ["has no --cache"]),
        (
            ("FFN", "--tune", "TUNE", "-o", "OUT", "--cache", "neural", "--cache-size", "0"),
            ["--cache-size 0"],
        ),
        (("KN", "FFN", "--tune", "TUNE", "-o", "OUT", "--context", "x"), ["sentence or stream"]),
    ],
)
def test_refused(nplm, mixed, kn, ffn, tune, tmp_path, line, parts):
    empty = tmp_path / "EMPTY"
    empty.write_text("\n")
    words = {"KN": kn, "FFN": ffn, "MIX": mixed[0], "TUNE": tune, "OUT": tmp_path / "out"}
    words["EMPTY"] = empty
    nplm("mix", *[words.get(word, word) for word in line], "-q").refused(*parts)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_changes_while_it_is_mixed(nplm, kn, ffn, tune, tmp_path, monkeypatch):
    """A training that goes on puts better weights there: none that were weighted."""
    from nplm_cli import mixing

    shutil.copytree(ffn, tmp_path / "ffn")
    real = mixing.text_log_probs

    def slow(*args, **options):
        path = tmp_path / "ffn" / "config.json"
        path.write_text(path.read_text("utf-8") + "\n", "utf-8")
        return real(*args, **options)

    monkeypatch.setattr(mixing, "text_log_probs", slow)
    nplm("mix", kn, tmp_path / "ffn", "--tune", tune, "-o", tmp_path / "m", "-q").refused(
        f"{tmp_path / 'ffn'} has changed while it was mixed"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["ffn"]


def test_the_text_of_the_training_is_told(nplm, kn, ffn, texts, tune, tmp_path):
    def warnings(*line):
        err = nplm("mix", kn, ffn, "-o", tmp_path / "m", "--force", *line).ok().err
        return [line for line in err.splitlines() if line.startswith("nplm: warning: ")]

    seen = texts / "seg.txt"
    assert any(f"{kn}, {ffn}: trained on {seen}" in line for line in warnings("--tune", seen))
    lines = seen.read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "part.txt").write_text("".join(lines[:100]), "utf-8")
    told = "of the longer sentences of"
    assert any(told in line for line in warnings("--tune", tmp_path / "part.txt"))
    notes = json.loads((tmp_path / "m" / "report.json").read_text("utf-8"))["notes"]
    assert any(told in note for note in notes)
    (tmp_path / "known.txt").write_text("我们 今天 书 。\n" * 9, "utf-8")
    assert not any(" unknown" in line for line in warnings("--tune", tmp_path / "known.txt"))
    (tmp_path / "odd.txt").write_text("乙 丙 丁 我们 。\n" * 9, "utf-8")
    assert any(
        "60.0% of the words of" in line and "unknown" in line
        for line in warnings("--tune", tmp_path / "odd.txt")
    )


def test_a_training_text_that_is_gone_is_told(nplm, kn, tune, tmp_path):
    """The mixture needs none of it."""
    shutil.copytree(kn, tmp_path / "kn")
    (tmp_path / "kn" / "data" / "train.ids").unlink()
    line = ("mix", tmp_path / "kn", "--cache", "unigram", "--tune", tune, "-o", tmp_path / "m")
    told = f"{tmp_path / 'kn'}: its training text cannot be read: not checked"
    assert f"nplm: warning: {told}" in nplm(*line).ok().err
    notes = json.loads((tmp_path / "m" / "report.json").read_text("utf-8"))["notes"]
    assert any(note.startswith(told) for note in notes)


def test_one_run_given_twice_is_told(nplm, ffn, kn, tune, tmp_path):
    shutil.copytree(ffn, tmp_path / "copy")
    line = ("mix", ffn, kn, tmp_path / "copy", "--tune", tune, "-o", tmp_path / "m")
    told = [line for line in nplm(*line).ok().err.splitlines() if "one and the same" in line]
    assert told == [
        f"nplm: warning: {ffn}, {tmp_path / 'copy'}: one and the same model: naming it once is "
        "enough"
    ]
    assert (
        "one and the same"
        not in nplm("mix", ffn, kn, "--tune", tune, "-o", tmp_path / "n").ok().err
    )


def test_the_mixture_reads_as_its_first_run(nplm, ffn, kn, tune, tmp_path):
    """Also where another run has the baseline."""
    for name, run in (("a", ffn), ("b", kn)):
        shutil.copytree(run, tmp_path / name)
    (tmp_path / "a" / "baseline.safetensors").unlink()
    path = tmp_path / "a" / "tokenizer.json"
    recipe = {**json.loads(path.read_text("utf-8")), "fold_width": False}
    path.write_text(json.dumps(recipe), "utf-8")
    line = ("mix", tmp_path / "a", tmp_path / "b", "--tune", tune, "-o", tmp_path / "m")
    assert "fold_width true instead of false" in nplm(*line).ok().err
    assert json.loads((tmp_path / "m" / "tokenizer.json").read_text("utf-8")) == recipe
    ledger = nplm("eval", tmp_path / "m", tune, "--json", "-q").ok().json
    assert ledger["baselines"]["kneser_ney"]["order"] == 3


def test_an_unfinished_training_is_told(nplm, ffn, kn, tune, tmp_path):
    shutil.copytree(ffn, tmp_path / "begun")
    (tmp_path / "begun" / "report.json").unlink()
    err = nplm("mix", tmp_path / "begun", kn, "--tune", tune, "-o", tmp_path / "m").ok().err
    assert f"warning: {tmp_path / 'begun'}: its training is not finished" in err


def test_impossible_predictions_are_told(nplm, ngram, tune, tmp_path):
    line = ("mix", ngram, "--cache", "unigram", "--tune", tune, "-o", tmp_path / "m")
    assert "predictions are impossible for every run" in nplm(*line).ok().err


def test_a_full_disk(spawn, kn, tune, tmp_path):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

    folder = tmp_path / "m"
    line = ("mix", kn, "--cache", "unigram", "--tune", tune, "-o", folder, "-q")
    result = spawn(*line, preexec_fn=limit)
    assert result.code == 1
    [told] = [line for line in result.err.splitlines() if "warning" not in line]
    assert told == f"nplm: {folder / 'components' / '1' / 'config.json'}: File too large"
    assert list(tmp_path.iterdir()) == []


def test_unfinished_runs_are_refused(nplm, ffn, kn, tune, tmp_path):
    shutil.copytree(ffn, tmp_path / "begun")
    (tmp_path / "begun" / "model.safetensors").unlink()
    nplm("mix", tmp_path / "begun", kn, "--tune", tune, "-o", tmp_path / "m").refused(
        "no weights yet"
    )


def test_a_source_is_never_replaced(nplm, ffn, kn, tune, tmp_path):
    before = sorted(path.name for path in ffn.iterdir())
    nplm("mix", ffn, kn, "--tune", tune, "-o", ffn, "--force").refused("one of the runs")
    assert sorted(path.name for path in ffn.iterdir()) == before
    shutil.copytree(kn, tmp_path / "a")
    shutil.copytree(ffn, tmp_path / "a" / "b")
    nplm("mix", kn, tmp_path / "a" / "b", "--tune", tune, "-o", tmp_path / "a", "--force").refused(
        f"{tmp_path / 'a' / 'b'} would be gone with {tmp_path / 'a'}"
    )
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == before


def test_what_differs_is_told(nplm, ngram, ffn, tune, tmp_path):
    shutil.copytree(ffn, tmp_path / "other")
    recipe = json.loads((ffn / "tokenizer.json").read_text("utf-8"))
    (tmp_path / "other" / "tokenizer.json").write_text(json.dumps({**recipe, "lowercase": True}))
    err = nplm("mix", ngram, tmp_path / "other", "--tune", tune, "-o", tmp_path / "m").ok().err
    assert (
        f"warning: {tmp_path / 'other'} read its text otherwise than {ngram} (tokenizer.json: "
        "lowercase true instead of false)"
    ) in err
    assert f"warning: {ngram}: relative frequencies are all 0 after an unseen context" in err
    assert "fitted on this very text" in err
