"""The words that a homework asks for: drawn by seed, or a student's own list."""

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
    words = choose_words(run, HomeworkConfig(words=str(tmp_path / "list.txt")), told.append)
    assert [word.word for word in words] == ["wbb", "wab"]
    assert [event.warning for event in told] == [True, True]
    assert "rarea" in told[0].text
    assert "left out" in told[0].text


def test_a_list_without_a_known_word_is_refused(run, tmp_path):
    (tmp_path / "list.txt").write_text("nothing here", "utf-8")
    with pytest.raises(InputError, match="none of its 2 words"):
        choose_words(run, HomeworkConfig(words=str(tmp_path / "list.txt")))
    (tmp_path / "empty.txt").write_text("# nothing\n\n", "utf-8")
    with pytest.raises(InputError, match="no word in it"):
        read_word_list(str(tmp_path / "empty.txt"))


def test_fewer_words_than_asked_for_are_told(run):
    told = []
    words = choose_words(run, HomeworkConfig(random=500), told.append)
    assert f"only {len(words)} words" in told[0].text


def test_a_run_alike_another_trains_to_the_same_bytes_as_one_from_text(run, tmp_path):
    config = run.config.replace(arch="rnn", seed=5, epochs=None, steps=3, norm=None)
    inputs = Sources(tuple(run.record["data"]["sources"]["train"]["inputs"]))
    pipeline.train(inputs, tmp_path / "text", config)
    run_folders.prepare_alike(run, tmp_path / "alike", config)
    pipeline.resume(tmp_path / "alike")
    for name in ("model.safetensors", "vocabulary.tsv", "baseline.safetensors"):
        assert (tmp_path / "text" / name).read_bytes() == (tmp_path / "alike" / name).read_bytes()


def test_ranks_that_words_are_drawn_from_are_known(run, tmp_path):
    size = len(run.vocabulary) - 2
    assert drawn_ranks(run, HomeworkConfig(random=20, band="3-10000")) == (3, size)
    # Too few words beyond rank 100: all ranks serve.
    assert drawn_ranks(run, HomeworkConfig(random=size)) == (1, size)
    assert drawn_ranks(run, HomeworkConfig(words=str(tmp_path / "list.txt"))) is None
