"""The folder of a homework: what goes on, what is refused, what --force may and may not touch.

Nothing is trained here: preparing is what decides.
"""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from nplm_cli.artifacts import read_json, write_json
from nplm_cli.config import Config, HomeworkConfig
from nplm_cli.corpus.preparation import Sources
from nplm_cli.errors import ArtifactError, ConfigError, InputError
from nplm_cli.homework import folder as folder_module
from nplm_cli.homework.folder import open_folder
from nplm_cli.homework.plan import make_plan
from nplm_cli.homework.questions import Questions

WORDS = [a + b for a in "书车茶花山" for b in "本子园水上中"]
FOREIGN = dict(zip(WORDS, (f"{a}{b}" for a in "vwxyz" for b in "abcdef"), strict=True))


def text(words):
    return "\n\n".join(
        "\n".join(" ".join(words[(i * j + k) % len(words)] for k in range(4)) for j in range(1, 4))
        for i in range(1, 41)
    )


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text(text(WORDS), "utf-8")
    return path


def plan(*corpora, archs="ffn,rnn", seeds=1, homework=(), **settings):
    config = Config().replace(**{"dim": 4, "hidden": 6, "max_size": 60, "seed": 1} | settings)
    sources = [s if isinstance(s, Sources) else Sources((str(s),)) for s in corpora]
    return make_plan(config, HomeworkConfig(archs=archs, seeds=seeds, **dict(homework)), sources)


def opened(made, folder, *, force=False, check=lambda runs: None):
    told = []
    runs = open_folder(made, folder, force=force, argv=("x",), check=check, on_event=told.append)
    return runs, " ".join(getattr(event, "text", "") for event in told)


def contents(folder):
    return {p: p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def test_a_new_folder_holds_the_plan_and_a_run_for_each_model(corpus, tmp_path):
    runs, _ = opened(plan(corpus, seeds=2), tmp_path / "out")
    assert [run.folder for run in runs] == [
        tmp_path / "out" / "runs" / name for name in ("ffn-1", "rnn-1", "ffn-2", "rnn-2")
    ]
    assert all((run.folder / "config.json").exists() for run in runs)
    assert read_json(tmp_path / "out" / "config.json")["argv"] == ["x"]
    assert {path.name for path in tmp_path.iterdir()} == {"train.txt", "out"}


def test_what_fails_leaves_a_new_folder_unmade_and_an_empty_one_empty(corpus, tmp_path):
    def refuse(runs):
        raise InputError("no")

    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        for wrong, check in (
            (plan(corpus), refuse),
            (plan(tmp_path / "gone.txt"), lambda runs: None),
            (plan(corpus, tmp_path / "gone.txt"), lambda runs: None),
            (plan(Sources((str(corpus),), (str(corpus),))), lambda runs: None),
        ):
            with pytest.raises(InputError):
                opened(wrong, tmp_path / name, check=check)
            assert {p.name for p in tmp_path.iterdir()} == {"train.txt", "empty"}
            assert not list((tmp_path / "empty").iterdir())


def test_force_touches_nothing_before_the_new_one_is_prepared(corpus, tmp_path):
    folder = tmp_path / "out"
    opened(plan(corpus, seeds=2), folder)
    (folder / "judgements.json").write_text("mine", "utf-8")
    (folder / "report.html").write_text("old", "utf-8")
    own = folder / "runs" / "my-text.txt"
    own.write_bytes(corpus.read_bytes())
    (folder / "runs" / "notes").mkdir()
    before = contents(folder)

    def refuse(runs):
        raise InputError("no")

    for wrong, check in (
        (plan(tmp_path / "gone.txt"), lambda runs: None),
        (plan(corpus, dim=5), refuse),
        (plan(Sources((str(corpus),), (str(corpus),))), lambda runs: None),
    ):
        with pytest.raises(InputError):
            opened(wrong, folder, force=True, check=check)
        assert contents(folder) == before
    with pytest.raises(ConfigError, match=r"--dim \(4 there, 5 asked for\).*--force"):
        opened(plan(corpus, dim=5), folder)
    assert contents(folder) == before
    # A text that lies in the old homework is read, and like all that nplm did not write, kept.
    runs, _ = opened(plan(own, dim=5), folder, force=True)
    assert read_json(runs[0].folder / "config.json")["settings"]["model"]["dim"] == 5
    assert own.read_bytes() == corpus.read_bytes()
    assert (folder / "judgements.json").read_text("utf-8") == "mine"
    assert {p.name for p in (folder / "runs").iterdir()} == {
        "ffn-1", "rnn-1", "my-text.txt", "notes",
    }  # fmt: skip
    assert {p.name for p in folder.iterdir()} == {"config.json", "judgements.json", "runs"}


def test_a_link_to_a_folder_is_followed_and_kept(corpus, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    opened(plan(corpus), (tmp_path / "link").resolve())
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "runs" / "ffn-1" / "config.json").exists()


def test_one_does_not_saw_off_the_branch(corpus, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    opened(plan(corpus), folder)
    monkeypatch.chdir(folder / "runs")
    for force in (False, True):
        with pytest.raises(ConfigError, match="you stand in"):
            opened(plan(corpus, dim=5), folder, force=force)


def test_a_text_that_was_changed_asks_for_force_and_gets_it(corpus, tmp_path):
    folder, same = tmp_path / "out", plan(corpus)
    opened(same, folder)
    before = contents(folder)
    opened(same, folder)
    assert contents(folder) == before
    with corpus.open("a", encoding="utf-8") as file:
        file.write("\n新 书本\n")
    with pytest.raises(InputError, match=r"has changed.*--force"):
        opened(same, folder)
    assert contents(folder) == before
    opened(same, folder, force=True)
    opened(same, folder)
    corpus.unlink()
    assert "is gone; going on" in opened(same, folder)[1]


def test_a_run_of_other_settings_or_text_is_named(corpus, tmp_path):
    folder = tmp_path / "out"
    opened(plan(corpus), folder)
    path = folder / "runs" / "ffn-1" / "config.json"
    record = read_json(path)
    record["settings"]["training"]["epochs"] = 4
    write_json(path, record)
    with pytest.raises(ConfigError, match=r"ffn-1 is not of this homework.*--epochs \(4 there"):
        opened(plan(corpus), folder)
    shutil.rmtree(path.parent)
    shutil.copytree(folder / "runs" / "rnn-1", path.parent)
    with pytest.raises(ConfigError, match=r"ffn-1 .*--arch \(rnn there, ffn asked for\)"):
        opened(plan(corpus), folder)
    shutil.rmtree(path.parent)
    opened(plan(corpus), folder)
    path = folder / "runs" / "rnn-1" / "config.json"
    record = read_json(path)
    record["data"]["vocabulary_sha256"] = "0" * 64
    write_json(path, record)
    with pytest.raises(ConfigError, match=r"rnn-1 .*its text \(runs/ffn-1 has another one\)"):
        opened(plan(corpus), folder)
    path.write_text("{", "utf-8")
    with pytest.raises(ArtifactError, match="rnn-1"):
        opened(plan(corpus), folder)
    opened(plan(corpus), folder, force=True)
    opened(plan(corpus), folder)


def test_what_keeps_a_text_from_being_read_is_said_of_the_text(corpus, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr(folder_module, "prepare_run", full)
    with pytest.raises(OSError, match="No space left"):  # a failure of the machine: exit 1
        opened(plan(corpus), tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"train.txt"}


def test_runs_that_the_plan_leaves_out_are_named(corpus, tmp_path):
    folder = tmp_path / "out"
    opened(plan(corpus, seeds=2), folder)
    _, told = opened(plan(corpus, archs="rnn"), folder)
    assert "not in this report: runs/ffn-1, runs/ffn-2, runs/rnn-2 (trained before)" in told


def test_another_programs_folder_is_refused(tmp_path, corpus):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "config.json").write_text(json.dumps({"mine": 1}), "utf-8")
    for _ in range(2):
        before = contents(tmp_path / "full")
        for force in (False, True):
            with pytest.raises(ConfigError, match=r"full.*name another directory"):
                opened(plan(corpus), tmp_path / "full", force=force)
            assert contents(tmp_path / "full") == before
        [found] = (tmp_path / "full").iterdir()
        found.rename(tmp_path / "full" / "mine.txt")


@pytest.fixture
def two(corpus, tmp_path):
    """Dictionary to write, and what the questions say of it once two corpora are prepared."""
    second = tmp_path / "second.txt"
    second.write_text(text(list(FOREIGN.values())), "utf-8")
    path = tmp_path / "d.tsv"

    def ask(rows):
        path.write_text("\n".join("\t".join(row) for row in rows), "utf-8")
        made = plan(corpus, second, archs="ffn", homework={"dictionary": str(path)})
        questions = Questions.read(made.homework)
        opened(made, tmp_path / "out", check=questions.put_to)
        return questions

    return ask


def test_a_dictionary_is_held_against_the_vocabularies_before_training(two, tmp_path):
    pairs = list(FOREIGN.items())
    for rows, message in (
        ([("one",)], "d.tsv:1"),
        (pairs[:9], r"d.tsv: .*of 9 words, of 9 pairs: expected at least 10 words$"),
        ([(b, a) for a, b in pairs], "columns look swapped"),
    ):
        with pytest.raises(InputError, match=message):
            two(rows)
        assert not (tmp_path / "out").exists()
    questions = two(pairs)
    assert questions.pairs == pairs
    assert set(questions.chosen) == {"first", "second"}


def test_more_neighbours_than_words_are_refused_before_training(corpus, tmp_path):
    for top, size in ((29, 30), (10, 15)):
        made = plan(corpus, max_size=size, homework={"top": top})
        questions = Questions.read(made.homework)
        if size < 20:  # nothing is compared, and so many neighbours are simply not there
            opened(made, tmp_path / "small", check=questions.put_to)
            continue
        with pytest.raises(ConfigError, match=r"--top 29: .* 30 words: expected at most 28"):
            opened(made, tmp_path / "out", check=questions.put_to)


def test_a_text_in_place_of_a_list_of_words_is_told(corpus, tmp_path):
    made = plan(corpus, homework={"words": str(corpus)})
    questions = Questions(made.homework, [f"w{i}" for i in range(600)] + WORDS, None)
    told = []
    opened(made, tmp_path / "out", check=lambda runs: questions.put_to(runs, told.append))
    assert "train.txt: 630 words" in told[0].text
    assert told[0].warning


def test_links_out_of_the_folder_are_refused(corpus, tmp_path):
    made, out = plan(corpus, archs="ffn"), tmp_path / "out"
    opened(made, out)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    for name, target in (
        ("results.json", precious),
        ("report.html", precious),
        ("figures", tmp_path / "elsewhere"),
        ("second", tmp_path / "elsewhere"),
        ("runs/rnn-1", tmp_path / "elsewhere"),
    ):
        (out / name).symlink_to(target)
        for force in (False, True):
            with pytest.raises(ArtifactError, match=f"{name}: a link out of its folder"):
                opened(made, out, force=force)
        (out / name).unlink()
    opened(made, out)
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("fails", range(1, 13))
def test_an_old_homework_comes_back_when_its_successor_cannot_move_in(
    corpus, tmp_path, monkeypatch, fails
):
    out = tmp_path / "out"
    opened(plan(corpus), out)
    (out / "report.md").write_text("old")
    (out / "mine.txt").write_text("not of nplm")
    before, moves, replace = contents(out), [], os.replace

    def failing(source, target):
        if out in Path(target).parents and ".nplm-tmp" not in os.path.basename(source):
            moves.append(target)
            if len(moves) == fails:
                raise OSError(errno.EIO, "Input/output error", str(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    if fails > 7:  # plan, report and two runs aside; plan and two runs in
        opened(plan(corpus, dim=5), out, force=True)
        assert len(moves) == 7
        assert not (out / "report.md").exists()
    else:
        with pytest.raises(OSError, match="Input/output") as caught:
            opened(plan(corpus, dim=5), out, force=True)
        assert "nplm-tmp" not in str(caught.value)
        assert contents(out) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "train.txt"]


def test_a_kill_while_an_old_homework_gives_way(corpus, tmp_path, monkeypatch):
    """Whatever was moved, the next command finds the old homework, or makes the new one."""
    out = tmp_path / "out"
    opened(plan(corpus), out)
    before, replace = contents(out), os.replace
    for fails in range(1, 7):
        moves = []

        def killed(source, target, moves=moves, fails=fails):
            if out in Path(target).parents and ".nplm-tmp" not in os.path.basename(source):
                moves.append(target)
                if len(moves) == fails:
                    raise Killed
            replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killed)
            patch.setattr(folder_module, "restore_homework", lambda folder: None)
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)
            patch.setattr(Path, "unlink", lambda *_, **__: None)
            with pytest.raises(Killed):
                opened(plan(corpus, dim=5), out, force=True)
        changed = (out / "config.json").exists() and (
            (out / "config.json").read_bytes() != before[out / "config.json"]
        )
        if changed:
            assert fails > 4
            runs, _ = opened(plan(corpus, dim=5), out)
            assert all((run.folder / "config.json").exists() for run in runs)
            shutil.rmtree(out)
            opened(plan(corpus), out)
            before = contents(out)
        else:
            opened(plan(corpus), out)
            assert contents(out).keys() == before.keys()
        shutil.rmtree(tmp_path / ".out.nplm-tmp", ignore_errors=True)


class Killed(BaseException):
    """What no code can catch."""
