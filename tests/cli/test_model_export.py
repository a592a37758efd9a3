"""nplm export --format arpa and nplm: what reaches the two streams, and what is refused."""

import gzip
import math

import pytest


@pytest.fixture(scope="module")
def kneser_ney(texts, tmp_path_factory, train):
    folder = tmp_path_factory.mktemp("kn") / "run"
    train(texts / "seg.txt", folder, "--arch", "ngram", "--max-size", 30).ok()
    return folder


def test_counts_exactly(nplm, kneser_ney, tmp_path):
    out = tmp_path / "m.arpa.gz"
    record = nplm("export", kneser_ney, out, "--format", "arpa", "--json").ok().json
    assert (record["schema"], record["format"], record["exact"]) == (1, "arpa", True)
    assert record["order"] == len(record["ngrams"]) == 3
    assert record["bits_lost"] == pytest.approx(0, abs=1e-9)
    assert record["network_weight"] is None
    pruned = nplm("export", kneser_ney, out, "--format", "arpa", "--prune", "1e-3", "--json")
    assert pruned.ok().json["exact"] is False
    assert sum(pruned.json["ngrams"]) < sum(record["ngrams"])
    assert pruned.json["bits_lost"] != 0
    nplm("export", kneser_ney, out, "--format", "arpa", "-q").ok()
    head = gzip.decompress(out.read_bytes()).decode("utf-8").splitlines()[:4]
    assert head == [
        "\\data\\",
        f"ngram 1={record['ngrams'][0] + 1}",
        *(f"ngram {n}={record['ngrams'][n - 1]}" for n in (2, 3)),
    ]


def test_figures_of_a_network(nplm, ffn, tmp_path):
    out = tmp_path / "m.arpa"
    result = nplm("export", ffn, out, "--format", "arpa").ok()
    shown = {row["what"]: row["value"] for row in result.table}
    record = nplm("export", ffn, out, "--format", "arpa", "--json", "-q").ok().json
    assert shown["exact"] == "no"
    assert int(shown["ngrams_3"]) == record["ngrams"][2]
    assert float(shown["arpa_ppl"]) == pytest.approx(record["arpa_ppl"], rel=1e-5)
    lost = math.log2(record["arpa_ppl"] / record["model_ppl"])
    assert record["bits_lost"] == pytest.approx(lost, abs=1e-9)
    assert str(out) in result.err
    # The weight was chosen on the other sentences, and these are half of all.
    held_out = record["held_out"]
    assert 0 < held_out["predictions"] < record["predictions"]
    assert float(shown["held_out arpa_ppl"]) == pytest.approx(held_out["arpa_ppl"], rel=1e-5)
    given = ("--network-weight", record["network_weight"])
    same = nplm("export", ffn, out, "--format", "arpa", *given, "--json").ok().json
    assert same == record | {"held_out": None}
    smaller = nplm("export", ffn, out, "--format", "arpa", "--order", 2, "--json").ok().json
    assert smaller["ngrams"] == record["ngrams"][:2]
    alone = ("--network-weight", 1)
    assert (
        record["arpa_ppl"]
        <= (nplm("export", ffn, out, "--format", "arpa", *alone, "--json").ok().json["arpa_ppl"])
    )
    rarer = nplm("export", ffn, out, "--format", "arpa", "--min-count", 3, "--json").ok().json
    assert rarer["ngrams"][1] < record["ngrams"][1]


def test_the_network_itself(nplm, ffn, tmp_path):
    out = tmp_path / "m.nplm"
    record = nplm("export", ffn, out, "--format", "nplm", "--json").ok().json
    assert record["ngram_size"] == 3
    assert record["input_vocab_size"] == record["output_vocab_size"] + 1
    text = out.read_text("utf-8")
    assert text.startswith("\\config\nversion 1\nngram_size 3\n")
    assert text.endswith("\n\\end\n")


def test_a_stream_is_told(nplm, train, texts, tmp_path):
    train(texts / "seg.txt", tmp_path / "r", "--context", "stream").ok()
    told = nplm("export", tmp_path / "r", tmp_path / "m", "--format", "arpa").ok().err
    assert "--context stream" in told
    assert "KenLM" not in told


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("-", "--format", "arpa"), "stdout"),
        (("m", "--format", "nplm", "--order", "2"), "--order"),
        (("m", "--format", "nplm", "--prune", "1e-7"), "--prune"),
        (("m", "--format", "glove", "--network-weight", "1"), "--network-weight"),
        (("m", "--format", "arpa", "--network-weight", "1.5"), "--network-weight"),
        (("m", "--format", "arpa", "--vectors", "output"), "--vectors"),
        (("m", "--format", "word2vec", "--order", "2"), "--format arpa"),
        (("m", "--json"), "--json"),
        (("m", "--format", "arpa", "--order", "0"), "--order"),
    ],
)
def test_options_that_do_not_fit(nplm, ffn, tmp_path, options, named):
    name, *rest = options
    nplm("export", ffn, name if name == "-" else tmp_path / name, *rest).refused(named)
    assert not (tmp_path / "m").exists()


def test_models_that_do_not_fit(nplm, ngram, kneser_ney, ffn, tmp_path):
    out = tmp_path / "m"
    nplm("export", ngram, out, "--format", "arpa").refused("mle", "--smoothing kn")
    nplm("export", ngram, out, "--format", "nplm").refused("--arch ngram")
    nplm("export", kneser_ney, out, "--format", "arpa", "--order", 2).refused("--order")
    nplm("export", kneser_ney, out, *("--format", "arpa", "--network-weight", 1)).refused(
        "networks"
    )
    nplm("export", ffn / "config.json", out, "--format", "arpa").refused("run directory")
    assert not out.exists()


def test_a_mixture_names_its_components(nplm, kneser_ney, texts, tmp_path):
    nplm(
        *("mix", kneser_ney, "--cache", "unigram", "--tune", texts / "seg.txt"),
        *("-o", tmp_path / "mix", "-q"),
    ).ok()
    told = nplm("export", tmp_path / "mix", tmp_path / "m", "--format", "arpa").refused("mixture")
    assert "components" in told


def test_a_run_without_its_text(nplm, ffn, tmp_path):
    import shutil

    shutil.copytree(ffn, tmp_path / "r")
    shutil.rmtree(tmp_path / "r" / "data")
    nplm("export", tmp_path / "r", tmp_path / "m", "--format", "arpa").refused("its text is gone")
