"""Several workers: the same sentences as one, the same errors, and nothing left running."""

import io
import os
import random
import signal
import subprocess

import pytest

from nplm_cli.config import CorpusConfig
from nplm_cli.corpus import cutting, readers
from nplm_cli.corpus.formats import read_sentences
from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.errors import ConfigError, InputError, NplmError

CHINESE = ["我们今天去北京大学看老师。", "他说：“好！”然后走了……", "１９９８年增长3.14%，共1,000元。",
           "用iPhone 12拍《红楼梦》", "", "  \t", "第一章", "\u2028𠮷野家🙂"]  # fmt: skip
ENGLISH = ["Mr. Smith doesn't know it. Really?", "", "It costs $1,000.", "  indented, and on"]


def text(lines, count, seed=0):
    drawn = random.Random(seed)
    return "\n".join("".join(drawn.choices(lines, k=drawn.randint(0, 3))) for _ in range(count))


def read(data, workers, **settings):
    stdin = io.BytesIO(data.encode() if isinstance(data, str) else data)
    return read_sentences(["-"], CorpusConfig(**settings), stdin=stdin, workers=workers)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(cutting, "CHUNK_CHARACTERS", 400)


@pytest.mark.parametrize(
    ("lines", "settings"),
    [
        (CHINESE, {}),
        (CHINESE, {"sentences": "line", "blank_lines": "keep", "lowercase": True}),
        (CHINESE, {"fold_width": False, "fold_numbers": True}),
        (ENGLISH, {"lang": "en"}),
        (["他在城里住了很久，后来搬到乡下去。", "乡下的"], {"lang": "zh"}),
    ],
)
def test_workers_change_nothing(tmp_path, lines, settings):
    dictionary = tmp_path / "d.txt"
    dictionary.write_text("iPhone 12\t\n《红楼梦》\n好！\n野家 5\n", "utf-8")
    settings = {"format": "raw", "user_dict": (str(dictionary),), **settings}
    data = text(lines, 400)
    one, many = read(data, 1, **settings), read(data, 2, **settings)
    assert list(many.placed()) == list(one.placed())
    assert many.counts == one.counts


def test_hard_wrapped_text(monkeypatch):
    sentence = "他在城里住了很久后来搬到乡下去种地又过了几年才回来看望老朋友们他说"
    data = "\n".join([sentence[:30], sentence[:29] + "。"] * 400)
    assert list(read(data, 3)) == list(read(data, 1))


@pytest.fixture
def started(monkeypatch):
    """The processes that were started."""
    processes = []
    real = subprocess.Popen

    def start(*arguments, **options):
        processes.append(real(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(cutting.subprocess, "Popen", start)
    yield processes
    assert all(process.returncode is not None for process in processes)


def test_all_of_them_work_and_end(started):
    reader = read(text(CHINESE, 300), 3, format="raw")
    iterator = iter(reader)
    next(iterator)
    assert len(started) == 3
    assert len({process.pid for process in started}) == 3
    assert [process.poll() for process in started] == [None] * 3
    list(iterator)
    assert all(process.poll() is not None for process in started)


def test_no_more_processes_than_there_is_work_or_room_for(started, monkeypatch):
    monkeypatch.setattr(cutting, "available_cores", lambda: 1)
    assert list(read("我们今天去北京。\n", 100, format="raw"))
    assert len(started) == 1
    assert list(read(text(CHINESE, 300), 100, format="raw"))
    assert len(started) == 1 + cutting.WORKERS_A_CORE


@pytest.mark.parametrize("placed", [False, True])
def test_an_iteration_that_ends_early_leaves_no_process(started, placed):
    reader = read(text(CHINESE, 3000), 2, format="raw")
    iterator = reader.placed() if placed else iter(reader)
    next(iterator)
    reader.close()
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


def test_memory_does_not_grow_with_the_input(started):
    """No more is read ahead than a few chunks."""

    class Endless(io.RawIOBase):
        blocks = 0

        def read(self, size=-1):
            self.blocks += 1
            return "我们今天去北京大学看老师。\n".encode() * 100

    endless = Endless()
    reader = read_sentences(["-"], CorpusConfig(format="raw", lang="zh"), stdin=endless, workers=2)
    sentences = iter(reader)
    for _ in range(10_000):
        next(sentences)
    # 10,000 sentences of a line each, the head of 1,000, the chunks under way, one block more.
    assert endless.blocks <= 100 + 10 + 10
    reader.close()


def test_only_what_is_worth_it_is_cut_by_workers(started):
    segmented = read("我们 去 北京 。\n" * 500, 4, format="segmented")
    assert len(list(segmented)) == 500
    assert len(list(read("我们去北京。\n" * 500, 4, format="raw", lang="char"))) == 500
    assert len(list(read("去/v 北京/ns\n" * 500, 4))) == 500
    assert started == []


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [5, 900, 2500])
def test_a_bad_byte_comes_after_the_sentences_before_it(line, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 5000)  # the blocks before the bad one are read
    lines = ["我们今天去北京大学看老师。".encode()] * 3000
    lines[line - 1] = b"\xe6\x88\xff\xff"

    def outcome(workers):
        found = []
        with pytest.raises(InputError) as caught:
            found.extend(
                read(b"\n".join(lines), workers, format="raw", lang="zh", encoding="utf-8")
            )
        return found, str(caught.value)

    one = outcome(1)
    assert outcome(2) == one
    assert bool(one[0]) == (line > 2000)  # none of the bytes that decide the encoding is out
    assert f"standard input:{line}: byte" in one[1]


def test_an_error_in_a_worker_is_the_same_error(monkeypatch):
    try:
        import rjieba  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("rjieba is installed")

    def outcome(workers):
        with pytest.raises(ConfigError) as caught:
            list(read("我们今天去北京。\n" * 900, workers, format="raw", tokenizer="rjieba"))
        return str(caught.value)

    assert outcome(2) == outcome(1)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_worker_that_is_killed_is_told_of(started):
    reader = read(text(CHINESE, 4000), 2, format="raw")
    iterator = iter(reader)
    next(iterator)
    for process in started:
        process.send_signal(signal.SIGKILL)
    with pytest.raises(NplmError, match=r"was killed, as the system does .* --workers 1") as caught:
        list(iterator)
    assert caught.value.exit_code == 1


def test_a_worker_that_cannot_start_is_told_of(monkeypatch):
    real = subprocess.Popen

    def start(command, **options):
        return real([command[0], "-c", "raise SystemExit('no such luck')"], **options)

    monkeypatch.setattr(cutting.subprocess, "Popen", start)
    with pytest.raises(NplmError, match=r"ended with code 1 \(no such luck\): --workers 1"):
        list(read(text(CHINESE, 300), 2, format="raw"))


# --- how many -----------------------------------------------------------------------------------


def test_how_many_there_are_by_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr(cutting, "AUTOMATIC_BYTES", 1000)
    for name, size in (("small", 400), ("large", 700)):
        (tmp_path / name).write_bytes(b"x" * size)
    small, large = (str(tmp_path / name) for name in ("small", "large"))
    monkeypatch.setattr(cutting, "available_cores", lambda: 64)
    assert cutting.automatic_workers([small, "-"]) == 1
    assert cutting.automatic_workers([small, large]) == cutting.AUTOMATIC_WORKERS
    monkeypatch.setattr(cutting, "available_cores", lambda: 2)
    assert cutting.automatic_workers([small, large]) == 2


def test_the_recipe_goes_to_the_worker_whole():
    recipe = TextRecipe(lang="zh", format="raw", sentences="split", fold_numbers=True)
    assert TextRecipe.from_json(cutting.decode(cutting.encode(recipe.to_json())), "x") == recipe
    odd = ["\ud800", "\u2028\x00\n", "𠮷"]
    assert cutting.decode(cutting.encode(odd)) == odd
