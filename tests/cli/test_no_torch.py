"""Questions are answered without torch, scipy, matplotlib and jieba: neither needed nor loaded."""

import json
import random
import sys

import pytest

HEAVY = ("torch", "scipy", "matplotlib", "jieba", "rjieba", "pandas", "gensim", "safetensors")

# RUN and NGRAM are runs, TEXT a segmented text, OUT a path to write.
LIGHT = {
    "eval of a short text": ("eval", "RUN", "TEXT", "--json"),
    "help": ("--help",),
    "version": ("--version",),
    **{
        f"{name} --help": (name, "--help")
        for name in [
            "tokenize",
            "vocab",
            "train",
            "eval",
            "score",
            "predict",
            "count",
            "info",
            "compare",
            "neighbors",
            "export",
            "generate",
            "similarity",
            "analogy",
            "compare-vectors",
            "align",
            "mix",
            "rescore",
            "surprisal",
            "explain",
            "gradcheck",
            "plot",
        ]
    },
    "neighbors": ("neighbors", "RUN", "书"),
    "neighbors --random": ("neighbors", "RUN", "--random", "3"),
    "neighbors of an unknown word": ("neighbors", "RUN", "书", "乏味"),
    "neighbors of a file": ("neighbors", "VECTORS", "书"),
    "score": ("score", "RUN", "我 买 书"),
    "score --per-token": ("score", "RUN", "我 买 书", "--per-token", "--json"),
    "score kenlm": ("score", "RUN", "我 买 书", "--format", "kenlm"),
    "score --given": ("score", "RUN", "--given", "我 买", "--word", "书"),
    "score --file": ("score", "RUN", "--file", "TEXT"),
    "score of counts": ("score", "NGRAM", "我 买 书"),
    "score raw English": ("score", "ENGLISH", "It isn't."),
    "predict": ("predict", "RUN", "我 买"),
    "count": ("count", "NGRAM", "我"),
    "info": ("info", "RUN"),
    "explain counts": ("explain", "NGRAM", "我 买", "--word", "书"),
    "compare": ("compare", "RUN", "NGRAM"),
    "compare --on": ("compare", "RUN", "NGRAM", "--on", "TEXT", "--json"),
    "export": ("export", "RUN", "OUT"),
    "export npy": ("export", "RUN", "OUT.npy", "--format", "npy"),
    "export safetensors": ("export", "RUN", "OUT", "--format", "safetensors"),
    "export --sentences": ("export", "RUN", "OUT", "--sentences", "TEXT"),
    "export arpa": ("export", "RUN", "OUT", "--format", "arpa"),
    "export nplm": ("export", "RUN", "OUT", "--format", "nplm"),
    "generate": ("generate", "RUN", "--prompt", "我 买", "--top-p", "0.9"),
    "generate from counts": ("generate", "NGRAM", "--samples", "3", "--json"),
    "similarity": ("similarity", "RUN", "RATINGS"),
    "similarity of a file": ("similarity", "VECTORS", "RATINGS", "--json"),
    "analogy": ("analogy", "RUN", "我", "你", "书"),
    "analogy questions": ("analogy", "VECTORS", "QUESTIONS", "--restrict", "28"),
    "compare-vectors": ("compare-vectors", "RUN", "VECTORS", "-k", "5"),
    "align": ("align", "RUN", "VECTORS", "--dictionary", "WORDS", "-o", "OUT"),
    "vocab": ("vocab", "TEXT", "-o", "OUT"),
    "tokenize": ("tokenize", "TEXT"),
    "tokenize English": ("tokenize", "EN"),
    "train ngram": ("train", "TEXT", "-o", "OUT", "--arch", "ngram", "--order", "3"),
    "eval of counts": ("eval", "NGRAM", "TEXT"),
    "eval of counts with a cache": ("eval", "NGRAM", "TEXT", "--cache", "unigram"),
    "mix counts": ("mix", "NGRAM", "--cache", "unigram", "--tune", "TEXT", "-o", "OUT"),
    "score --cache": ("score", "RUN", "我 买 书", "--cache", "neural"),
    "rescore": ("rescore", "RUN", "NBEST", "--references", "REFERENCES", "--best"),
    "rescore of counts": ("rescore", "NGRAM", "NBEST"),
    "surprisal": ("surprisal", "RUN", "ITEMS", "--text-column", "sentence"),
    "surprisal of counts": ("surprisal", "NGRAM", "ITEMS", "--text-column", "sentence"),
    "surprisal and times": (
        *("surprisal", "RUN", "TIMES", "--word-column", "w", "--item-column", "i"),
        *("--times-column", "t", "--keep-unknown"),
    ),
}


@pytest.fixture(scope="module")
def blocked(tmp_path_factory):
    """A folder whose torch, scipy, matplotlib and jieba raise when they are imported."""
    folder = tmp_path_factory.mktemp("blocked")
    for name in HEAVY:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"raise RuntimeError('{name} was imported')\n")
    return folder


@pytest.fixture(scope="module")
def vectors(nplm, ffn, tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors") / "v.txt"
    nplm("export", ffn, path, "-q").ok()
    return path


@pytest.fixture
def line(ffn, ngram, english, texts, vectors, tmp_path):
    ratings, questions = tmp_path / "ratings.txt", tmp_path / "questions.txt"
    ratings.write_text("我 你 9\n书 茶 5\n书 我 1\n", "utf-8")
    questions.write_text(": s\n我 你 书 茶\n", "utf-8")
    (tmp_path / "n.txt").write_text("0 ||| 我 买 书 ||| f= 1 ||| -1\n", "utf-8")
    (tmp_path / "r.txt").write_text("我 买 茶\n", "utf-8")
    (tmp_path / "s.tsv").write_text("sentence\n我 买 书\n", "utf-8")
    chosen = random.Random(1)
    read = chosen.choices(["我", "买", "茶", "你", "看见", "书", "猫"], k=40)
    timed = [f"1\t{word}\t{chosen.randint(200, 400)}\n" for word in read]
    (tmp_path / "t.tsv").write_text("i\tw\tt\n" + "".join(timed), "utf-8")
    pairs = [row.split("\t")[0] for row in (ffn / "vocabulary.tsv").read_text("utf-8").splitlines()]
    (tmp_path / "words.txt").write_text("".join(f"{w}\t{w}\n" for w in pairs[2:]), "utf-8")
    words = {
        "WORDS": tmp_path / "words.txt",
        "NBEST": tmp_path / "n.txt",
        "REFERENCES": tmp_path / "r.txt",
        "ITEMS": tmp_path / "s.tsv",
        "TIMES": tmp_path / "t.tsv",
        "RATINGS": ratings,
        "QUESTIONS": questions,
        "RUN": ffn,
        "NGRAM": ngram,
        "ENGLISH": english,
        "TEXT": texts / "seg.txt",
        "EN": texts / "en.txt",
        "VECTORS": vectors,
        "OUT": tmp_path / "out",
        "OUT.npy": tmp_path / "out.npy",
    }
    return lambda name: [str(words.get(word, word)) for word in LIGHT[name]]


@pytest.mark.parametrize("name", LIGHT)
def test_works_without_and_loads_nothing_heavy(spawn, line, blocked, tmp_path, name):
    # One process for both questions: the blocked packages are there to be found, and the list
    # of loaded modules is written when the process ends.
    listing = tmp_path / "modules.json"
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import atexit, json, sys\n"
        f"atexit.register(lambda: open({str(listing)!r}, 'w').write(json.dumps(sorted(sys.modules))))\n"
    )
    path = f"{site}:{blocked}"
    result = spawn(*line(name), env={"PYTHONPATH": _with_old_path(path)}).ok()
    assert "was imported" not in result.err
    assert result.out or name.startswith("export")
    loaded = {module.split(".")[0] for module in json.loads(listing.read_text())}
    assert "nplm_cli" in loaded
    assert not loaded & set(HEAVY)


def _with_old_path(path):
    import os

    old = os.environ.get("PYTHONPATH")
    return f"{path}:{old}" if old else path


def test_the_block_works(spawn, blocked, texts, ffn):
    env = {"PYTHONPATH": _with_old_path(str(blocked))}
    dynamic = ("--dynamic", "--dynamic-lr", 0.1)
    assert "torch was imported" in spawn("eval", ffn, texts / "seg.txt", *dynamic, env=env).err
    assert "jieba was imported" in spawn("tokenize", texts / "zh.txt", env=env).err


def test_raw_chinese_loads_jieba_and_nothing_else(spawn, ffn, tmp_path):
    code = (
        "import sys; from nplm_cli.cli.app import run; "
        f"run(['score', {str(ffn)!r}, '今天我们喜欢北京', '-q']); "
        "print(sorted({m.split('.')[0] for m in sys.modules}))"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    loaded = done.stdout.decode().splitlines()[-1]
    assert "'jieba'" in loaded
    for name in ("torch", "scipy", "matplotlib", "rjieba"):
        assert f"'{name}'" not in loaded


def test_rich_is_loaded_for_tables_alone(spawn, ffn):
    import subprocess

    code = (
        "import sys; from nplm_cli.cli.app import run; "
        f"run(['neighbors', {str(ffn)!r}, '书']); print('rich.table' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[-1] == "False"
