"""The words that a homework asks for: drawn by seed, or a student's own list."""

import errno
import os

import pytest

from nplm_cli import pipeline, run_folders
from nplm_cli.config import Config, HomeworkConfig
from nplm_cli.corpus.preparation import Sources
from nplm_cli.errors import InputError
from nplm_cli.homework.words import choose_words, drawn_ranks, read_word_list
from nplm_cli.query.run import Run

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that is prepared and not trained: words with falling counts, figures and a comma."""
    folder = tmp_path_factory.mktemp("words")
    words = [f"w{a}{b}" for a in LETTERS for b in LETTERS[:5]]
    lines = [" ".join(words[: 1 + i]) + " , 1998 rare" + LETTERS[i % 26] for i in range(len(words))]
    (folder / "text.txt").write_text("\n".join(lines), "utf-8")
    config = Config().replace(split_by="none", max_size=120, dim=4, hidden=4)
    run_folders.prepare_run(Sources((str(folder / "text.txt"),)), folder / "run", config)
    return Run(folder / "run")


def test_drawn_words_are_plain_and_the_same_for_a_seed(run):
    words = choose_words(run, HomeworkConfig(random=12, random_seed=3))
    assert words == choose_words(run, HomeworkConfig(random=12, random_seed=3))
    assert words != choose_words(run, HomeworkConfig(random=12, random_seed=4))
    assert len({word.word for word in words}) == 12
    assert all(word.word.isalpha() for word in words)
    ranks = [word.rank for word in words]
    assert ranks == sorted(ranks)
    for word in words:
        assert run.vocabulary.tokens[word.rank + 1] == word.word
        assert run.vocabulary.counts[word.rank + 1] == word.count


def test_a_band_limits_them_and_all_tokens_admits_signs(run):
    inside = choose_words(run, HomeworkConfig(random=5, band="20-40"))
    assert all(20 <= word.rank <= 40 for word in inside)
    first = choose_words(run, HomeworkConfig(random=3, band="1-3", all_tokens=True))
    assert "," in {word.word for word in first}


def test_a_list_keeps_its_order_and_tells_what_the_vocabulary_lacks(run, tmp_path):
    (tmp_path / "list.txt").write_text("# mine\nwbb wab\nrarea <unk>\nwab\n", "utf-8")
    told = []
    path = str(tmp_path / "list.txt")
    words = choose_words(run, HomeworkConfig(words=path), read_word_list(path), told.append)
    assert [word.word for word in words] == ["wbb", "wab"]
    assert [event.warning for event in told] == [True, True]
    assert "rarea" in told[0].text
    assert "left out" in told[0].text
    assert "'<unk>': a symbol of the vocabulary, no word of the text" in told[1].text


def test_a_list_without_a_known_word_is_refused(run, tmp_path):
    (tmp_path / "list.txt").write_text("nothing here", "utf-8")
    with pytest.raises(InputError, match="no word of this list"):
        choose_words(run, HomeworkConfig(words="list.txt"), ["nothing", "here"])
    (tmp_path / "empty.txt").write_text("# nothing\n\n", "utf-8")
    with pytest.raises(InputError, match="no word in it"):
        read_word_list(str(tmp_path / "empty.txt"))


def test_fewer_words_than_asked_for_are_told(run):
    told = []
    words = choose_words(run, HomeworkConfig(random=500), None, told.append)
    assert f"only {len(words)} words" in told[0].text


def test_a_run_alike_another_trains_to_the_same_bytes_as_one_from_text(run, tmp_path):
    config = run.config.replace(arch="rnn", seed=5, epochs=None, steps=3, norm=None)
    inputs = Sources(tuple(run.record["data"]["sources"]["train"]["inputs"]))
    pipeline.train(inputs, tmp_path / "text", config)
    run_folders.prepare_alike(run, tmp_path / "alike", config)
    pipeline.resume(tmp_path / "alike")
    for name in ("model.safetensors", "vocabulary.tsv", "baseline.safetensors"):
        assert (tmp_path / "text" / name).read_bytes() == (tmp_path / "alike" / name).read_bytes()


def test_a_run_alike_another_shares_its_large_files_and_no_other(run, tmp_path):
    run_folders.prepare_alike(run, tmp_path / "alike", run.config)
    theirs, ours = (
        {p.relative_to(f): p for p in f.rglob("*")} for f in (run.folder, tmp_path / "alike")
    )
    assert set(theirs) == set(ours)
    shared = {
        str(name) for name in ours if ours[name].is_file() and ours[name].samefile(theirs[name])
    }
    data = {f"data/train.{suffix}" for suffix in ("ids", "sentences", "files")}
    assert shared == data | {"data/index.json", "baseline.safetensors"}
    for name in ours:
        assert (
            ours[name].is_dir()
            or name.name == "config.json"
            or (ours[name].read_bytes() == theirs[name].read_bytes())
        )


def test_a_run_alike_another_is_copied_where_links_are_not_to_be_had(run, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    run_folders.prepare_alike(run, tmp_path / "alike", run.config)
    ids = tmp_path / "alike" / "data" / "train.ids"
    assert ids.read_bytes() == (run.folder / "data" / "train.ids").read_bytes()
    assert not ids.samefile(run.folder / "data" / "train.ids")


def test_training_a_run_changes_no_byte_of_the_one_it_shares_files_with(run, tmp_path):
    def contents():
        return {p: p.read_bytes() for p in run.folder.rglob("*") if p.is_file()}

    before = contents()
    run_folders.prepare_alike(run, tmp_path / "alike", run.config.replace(epochs=None, steps=2))
    pipeline.resume(tmp_path / "alike")
    pipeline.resume(tmp_path / "alike", changes={"steps": 3})
    assert contents() == before
    # A new run in its place writes files of its own.
    sources = Sources(tuple(run.record["data"]["sources"]["train"]["inputs"]))
    pipeline.train(
        sources,
        tmp_path / "alike",
        run.config.replace(epochs=None, steps=1, max_size=9),
        force=True,
    )
    assert contents() == before


def test_ranks_that_words_are_drawn_from_are_known(run, tmp_path):
    size = len(run.vocabulary) - 2
    assert drawn_ranks(run, HomeworkConfig(random=20, band="3-10000")) == (3, size)
    # Too few words beyond rank 100: all ranks serve.
    assert drawn_ranks(run, HomeworkConfig(random=size)) == (1, size)
    assert drawn_ranks(run, HomeworkConfig(words=str(tmp_path / "list.txt"))) is None
