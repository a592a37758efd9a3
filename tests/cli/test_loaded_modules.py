"""What each question loads: nothing of the package that it does not use, and no other package."""

import json
import subprocess
import sys

import pytest

ALWAYS = {"atomic", "cli", "cli.app", "cli.output", "cli.parameters", "errors", "plain", "threads"}
VECTORS = ALWAYS | {
    "artifacts",
    "cli.arguments",
    "cli.neighbors_command",
    "cli.vector_source",
    "opening",
    "vectors",
    "vectors.keyed",
    "corpus",
    "corpus.word_kernels",
    "vectors.line_words",
    "vectors.nearest",
    "vectors.row_lengths",
    "vectors.scan",
    "vectors.unknown",
    "vectors.word_rows",
}
RUN = {
    "architectures",
    "artifacts",
    "cli.arguments",
    "config",
    "config.corpus",
    "config.model",
    "config.section",
    "config.training",
    "corpus",
    "corpus.vocabulary",
    "locking",
    "opening",
    "placement",
    "query",
    "query.components",
    "query.feedforward",
    "query.far_context",
    "query.layers",
    "query.records",
    "query.run",
    "query.stored_models",
}
SCORER = {
    "cli.adaptation",
    "config.mixture",
    "corpus.batches",
    "corpus.shards",
    "query.cache",
    "query.contexts",
    "query.mixture",
    "query.output",
    "query.readers",
    "query.scorer",
}
TEXT = {
    "corpus.english",
    "corpus.pku",
    "corpus.recipe",
    "corpus.sentences",
    "corpus.tokenizers",
    "corpus.user_words",
    "query.sentences",
}
SCORE = {
    "cli.score_checks",
    "cli.score_command",
    "cli.score_formats",
    "cli.score_input",
    "corpus.encodings",
}
ASK = {"cli.ask", "cli.ledger_table", "cli.progress", "events"}
# A command line, its modules of this package, its packages that are not Python's own.
LOADED = {
    "neighbors": (("neighbors", "RUN", "书"), VECTORS | RUN, {"numpy"}),
    "neighbors of a file": (
        ("neighbors", "NPY", "书"),
        VECTORS - {"artifacts"} | {"vectors.arrays", "vectors.formats", "vectors.text"},
        {"numpy"},
    ),
    "score": (
        ("score", "RUN", "我 买 书"),
        ALWAYS | RUN | SCORER | TEXT | SCORE | {"query.cache_use"},
        {"numpy"},
    ),
    "score raw Chinese": (
        ("score", "RUN", "今天我们喜欢北京"),
        ALWAYS | RUN | SCORER | TEXT | SCORE
        | {"query.cache_use", "corpus.chinese", "corpus.prefix_table", "private_cache"},
        {"numpy", "jieba"},
    ),
    "predict": (
        ("predict", "RUN", "我 买"),
        ALWAYS | RUN | SCORER | TEXT | ASK | {"query.cache_use", "query.predict"},
        {"numpy"},
    ),
    "version": (("--version",), ALWAYS, set()),
}  # fmt: skip
PACKAGES = ("numpy", "typer", "click", "pydantic", "rich", "jieba", "rjieba", "torch", "jinja2")


@pytest.mark.parametrize("name", LOADED)
def test_a_question_loads_what_it_uses(name, nplm, ffn, tmp_path):
    line, modules, packages = LOADED[name]
    nplm("export", ffn, tmp_path / "v.npy", "--format", "npy", "-q").ok()
    words = {"RUN": ffn, "NPY": tmp_path / "v.npy"}
    code = (
        "import sys, json; from nplm_cli.cli.app import run; "
        f"code = run({[str(words.get(word, word)) for word in line]!r}); "
        "print(json.dumps([code, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    code, loaded = json.loads(done.stdout.decode().splitlines()[-1])
    assert code == 0
    own = {module.removeprefix("nplm_cli.") for module in loaded if module.startswith("nplm_cli.")}
    assert own == modules
    assert {package for package in PACKAGES if package in loaded} == packages
