"""A run directory opened for questions: what is damaged is named, what is scored adds up."""

import json
import math
import shutil

import numpy as np
import pytest

from nplm_cli import pipeline
from nplm_cli.artifacts import TensorFile, write_tensors
from nplm_cli.config import Config
from nplm_cli.corpus.preparation import Sources
from nplm_cli.errors import ArtifactError
from nplm_cli.query.describe import describe
from nplm_cli.query.records import PART_COUNTS
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer
from nplm_cli.query.sentences import SentenceReader, score_sentences

CONFIG = Config().replace(
    format="segmented", sentences="line", max_size=6, order=3, dim=4, hidden=5, steps=3, batch=8,
    threads=1, device="cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    text = "a b c d e\na b c\nb c a f\nc a g h\n" * 10
    (folder / "t.txt").write_text(text, "utf-8")
    pipeline.train(Sources(train=(str(folder / "t.txt"),)), folder / "run", CONFIG)
    return folder / "run"


@pytest.fixture
def folder(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(params=["ffn", "ngram"])
def run(request, finished):
    if request.param == "ffn":
        return Run(finished)
    other = finished.parent / "ngram"
    if not other.exists():
        source = Sources(train=(str(finished.parent / "t.txt"),))
        pipeline.train(source, other, CONFIG.replace(arch="ngram"))
    return Run(other)


def scored(run, *texts, **settings):
    return score_sentences(run, open_scorer(run), texts, SentenceReader(run.recipe), **settings)


# --- damage -------------------------------------------------------------------------------------


def test_no_run(tmp_path):
    with pytest.raises(ArtifactError, match="no such directory"):
        Run(tmp_path / "none")
    with pytest.raises(ArtifactError, match=r"no config\.json: not a run directory"):
        Run(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="not a directory"):
        Run(tmp_path / "file")


@pytest.mark.parametrize(
    "name", ["vocabulary.tsv", "tokenizer.json", "model.safetensors", "baseline.safetensors"]
)
@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_damaged_files_are_named(folder, name, damage):
    path = folder / name
    data = path.read_bytes()
    half = data[: len(data) // 2].rstrip(b"0123456789\n")
    path.write_bytes({"cut": half, "empty": b"", "noise": b"\xff\xfe\x00" * 50}[damage])
    run = Run(folder)
    with pytest.raises(ArtifactError, match=name):
        _ = run.vocabulary, run.recipe, run.weights, run.baseline


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: [], "expected an object"),
        (lambda r: {**r, "format_version": 2}, "format 2, .* upgrade"),
        (lambda r: {k: v for k, v in r.items() if k != "format_version"}, "no format version"),
        (lambda r: {**r, "settings": None}, "expected an object with settings"),
        (lambda r: {**r, "settings": {"model": {"order": 1}}}, "--order 1"),
        (
            lambda r: {**r, "settings": {"model": {"dmi": 1}}},
            "unknown key 'dmi'; did you mean 'dim'",
        ),
        (lambda r: {**r, "data": {**r["data"], "unk_types": 10**400}}, "its data or environment"),
        *(
            (
                lambda r, n=n: {**r, "data": {"parts": {"train": dict.fromkeys(PART_COUNTS, n)}}},
                "data",
            )
            for n in (10**400, 2**63, -1, 1.0, "1", None, True)
        ),
    ],
)
def test_damaged_settings(folder, change, message):
    path = folder / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text("utf-8")))))
    with pytest.raises(ArtifactError, match=message):
        assert Run(folder).config


def test_weights_of_another_model(folder):
    weights = TensorFile(folder / "model.safetensors")
    tensors = {name: np.array(weights[name]) for name in weights}
    for changed, message in (
        (
            {**tensors, "embedding.weight": np.zeros((3, 4), np.float32)},
            r"embedding\.weight has shape \(3, 4\)",
        ),
        ({k: v for k, v in tensors.items() if k != "embedding.weight"}, r"embedding\.weight"),
        ({k: v for k, v in tensors.items() if k != "output.bias"}, r"output\.bias"),
    ):
        write_tensors(folder / "model.safetensors", changed)
        with pytest.raises(ArtifactError, match=message):
            open_scorer(Run(folder))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("output.weight", (5, 5)),
        ("output.bias", (3,)),
        ("encoder.layers.0.weight", (5, 7)),
        ("encoder.layers.0.weight", None),
        ("encoder.layers.0.bias", (9,)),
    ],
)
def test_every_shape_is_checked_before_a_question_is_answered(folder, name, shape):
    weights = TensorFile(folder / "model.safetensors")
    tensors = {n: np.array(weights[n]) for n in weights}
    del tensors[name]
    if shape is not None:
        tensors[name] = np.zeros(shape, np.float32)
    write_tensors(folder / "model.safetensors", tensors)
    with pytest.raises(ArtifactError, match=r"model\.safetensors"):
        scored(Run(folder), "a b")


def test_a_run_without_weights_says_how_to_finish(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ArtifactError, match="--resume"):
        assert Run(folder).weights


def test_a_run_is_self_contained(folder, tmp_path, finished):
    folder.rename(tmp_path / "elsewhere")
    moved = Run(tmp_path / "elsewhere")
    assert [s.logprob_e for s in scored(moved, "a b c")] == [
        s.logprob_e for s in scored(Run(finished), "a b c")
    ]


# --- sentences ----------------------------------------------------------------------------------


def test_scored_sentence(run):
    [sentence] = scored(run, "a  zebra b")
    assert [(t.token, t.start, t.end) for t in sentence.tokens] == [
        ("a", 0, 1), ("zebra", 3, 8), ("b", 9, 10), ("</s>", 10, 10),
    ]  # fmt: skip
    assert [t.oov for t in sentence.tokens] == [False, True, False, False]
    assert [t.id for t in sentence.tokens] == [*run.vocabulary.encode(["a", "zebra", "b"]), 1]
    assert (sentence.words, sentence.oov) == (3, 1)
    assert sentence.logprob_e == pytest.approx(sum(t.logprob_e for t in sentence.tokens))
    assert [t.seen for t in sentence.tokens] == [1, 2, 2, 2]
    assert all(t.logprob_e < 0 for t in sentence.tokens)


def test_a_sentence_is_the_product_of_its_words(run):
    """Each token's figure is what the next-word distribution gives it."""
    scorer = open_scorer(run)
    [sentence] = scored(run, "b c a d")
    history = []
    for token in sentence.tokens:
        log_p = scorer.next_log_probs(history)
        assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-9)
        assert token.logprob_e == pytest.approx(log_p[token.id], abs=1e-5)
        history.append(token.id)


def test_company_and_order_change_nothing(run):
    texts = ["a b", "c", "zebra a b c d e f g", "b c a"]
    alone = [scored(run, text)[0].logprob_e for text in texts]
    assert [s.logprob_e for s in scored(run, *texts)] == pytest.approx(alone, abs=1e-5)
    back = [s.logprob_e for s in scored(run, *texts[::-1])][::-1]
    assert back == pytest.approx(alone, abs=1e-5)


def test_stream_reads_on(run):
    sentences = scored(run, "a b", "c a", context="stream")
    assert [t.seen for t in sentences[1].tokens] == [2, 2, 2]
    assert sentences[0].logprob_e == pytest.approx(scored(run, "a b")[0].logprob_e, abs=1e-5)
    if run.config.model.arch == "ffn":  # counts may know nothing of what stands before </s>
        alone = scored(run, "c a")[0].logprob_e
        assert sentences[1].logprob_e != pytest.approx(alone, abs=1e-5)


def test_without_the_end(run):
    [whole], [words] = scored(run, "a b"), scored(run, "a b", eos=False)
    assert words.tokens == whole.tokens[:-1]
    assert words.words == 2


def test_nothing_to_score(run):
    assert scored(run) == []
    [empty] = scored(run, "")
    assert [t.token for t in empty.tokens] == ["</s>"]
    assert empty.words == 0


def test_describe(run):
    record = describe(run)
    assert record["finished"] is True
    assert record["vocabulary"] == 8
    assert record["order"] == 3
    if record["arch"] == "ffn":
        assert record["parameters"] == 8 * 4 + (8 * 5 + 5) + 8 * 5 + 8
        assert record["layers"] == 2
        assert math.isfinite(record["valid_ppl"])
    json.dumps(record, allow_nan=False)


def test_vectors_of_a_run(finished):
    run = Run(finished)
    keyed = run.keyed_vectors()
    assert np.array_equal(keyed["a"], run.weights["embedding.weight"][run.vocabulary.index["a"]])
    output = run.keyed_vectors(output=True)
    assert np.array_equal(output["a"], run.weights["output.weight"][run.vocabulary.index["a"]])


LEDGER = {"ppl": 5.0, "baselines": {"kneser_ney": {"ppl": 4.0}}}
GOOD = {"training": {"seconds": 1.5, "tokens": 9}, "valid": LEDGER, "test": None}


@pytest.mark.parametrize(
    "report",
    [
        *([], {}, "x", None, {**GOOD, "training": None}, {**GOOD, "valid": [LEDGER]}),
        *({**GOOD, "training": {"seconds": n}} for n in ("1", True, -1, 10**400, float("nan"))),
        *({**GOOD, "valid": {**LEDGER, "ppl": n}} for n in ("1", [], {}, 10**400, -1)),
        *(
            {**GOOD, "valid": {"ppl": 1.0}},
            {**GOOD, "test": {"baselines": None}},
            {**GOOD, "test": 1},
        ),
        *({**GOOD, "valid": {**LEDGER, "baselines": b}} for b in ([], {}, {"kneser_ney": 3}, "x")),
        {**GOOD, "valid": {**LEDGER, "baselines": {"kneser_ney": {}}}},
    ],
)
def test_damaged_reports(folder, report):
    (folder / "report.json").write_text(json.dumps(report))
    with pytest.raises(ArtifactError, match="not a report of nplm train"):
        describe(Run(folder))
    (folder / "report.json").write_text(json.dumps(GOOD))
    assert describe(Run(folder))["valid_ppl_kneser_ney"] == 4.0
