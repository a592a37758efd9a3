"""Rating files as they are distributed, Spearman's rho against scipy, coverage, the interval."""

import gzip
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nplm_cli.errors import ArtifactError, ConfigError, InputError
from nplm_cli.vectors import ratings
from nplm_cli.vectors.keyed import KeyedVectors
from nplm_cli.vectors.lookup import Lookup
from nplm_cli.vectors.ratings import RatedPair, rate_similarity, read_ratings, spearman_interval

TWO = [RatedPair("ox", "cow", 8.5), RatedPair("pen", "moon", 0.5)]


def written(folder, text, name="r.txt", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        "ox\tcow\t8.5\npen\tmoon\t0.5\n",
        "ox cow 8.5\r\npen moon .5",
        "ox  cow 8.5 9 8 \npen moon 5e-1 0 1 \n",
        "\ufeffox,cow,8.5\npen,moon,0.5\n",
        '"ox", "cow", 8.5\n"pen","moon","0.5"\n',
        "# two pairs\n\nox cow 8.5\n  \n# more\npen moon 0.5\n",
        "Word 1,Word 2,Human (mean)\nox,cow,8.5\npen,moon,0.5\n",
        "Word 1,Word 2,Human (mean),1,2\nox,cow,8.5,8,9\npen,moon,0.5,1,0\n",
        "word1\tword2\tPOS\tSimLex999\tconc(w1)\tSimAssoc333\n"
        "ox\tcow\tN\t8.5\t3.5\t1\npen\tmoon\tN\t0.5\t4.5\t0\n",
        "ID\tWord1\tWord2\tScore\n1\tox\tcow\t8.5\n2\tpen\tmoon\t0.5\n",
        "# header\nword1 word2 similarity\nox cow 8.5\npen moon 0.5\n",
        "ox-n cow-n 8.5\npen-n moon-j 0.5\n",
    ],
)
def test_formats(tmp_path, text):
    assert read_ratings(written(tmp_path, text)) == TWO


def test_encodings_compression_and_standard_input(tmp_path):
    text = "黄牛\t公牛\t8.5\n钢笔\t月亮\t0.5\n"
    pairs = [RatedPair("黄牛", "公牛", 8.5), RatedPair("钢笔", "月亮", 0.5)]
    assert read_ratings(written(tmp_path, text, encoding="gb18030")) == pairs
    (tmp_path / "r.gz").write_bytes(gzip.compress(text.encode()))
    assert read_ratings(str(tmp_path / "r.gz")) == pairs
    with (tmp_path / "r.gz").open("rb") as file:
        assert read_ratings("-", stdin=file) == pairs


def test_words_with_spaces_and_commas_stay_whole(tmp_path):
    tabs = written(tmp_path, "New York\tcity, big\t7\n")
    assert read_ratings(tabs) == [RatedPair("New York", "city, big", 7.0)]
    quoted = written(tmp_path, 'New York,"city, big",7\n')
    assert read_ratings(quoted) == [RatedPair("New York", "city, big", 7.0)]


def test_tags_are_dropped_only_where_all_words_have_them(tmp_path):
    events = []
    read_ratings(written(tmp_path, "ox-n cow-n 8\n"), on_event=events.append)
    assert len(events) == 1
    assert "tags (-n, -j, -v) dropped" in events[0]
    kept = read_ratings(written(tmp_path, "ox-n cow-n 8\nplan-b plan 3\n"))
    assert [pair.word1 for pair in kept] == ["ox-n", "plan-b"]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("ox cow 8.5\nox cow\n", ":2: ", "at least 3 fields (spaces between), found 2"),
        ("ox\tcow\t8.5\n\nox cow 8\n", ":3: ", "(tabs between), found 1"),
        ('ox,cow,8.5\n"ox,cow,8\n', ":2: ", "(commas between), found 0"),
        ("ox cow 8.5\nox cow high\n", ":2: ", "a number in column 3, found 'high'"),
        ("ox cow 8.5\nox cow nan\n", ":2: ", "found 'nan'"),
        ("ox cow 8.5\nox cow 1_0\n", ":2: ", "found '1_0'"),
        ("ox\tcow\t8.5\n\tcow\t8\n", ":2: ", "found an empty one"),
        ("ox cow\n", ":1: ", "expected 'word word score'"),
        ("# c\nox cow N 8.5\n", ":2: ", "a header that names the score"),
        ("word1\tword2\tPOS\tScore\nox\tcow\t8.5\n", ":2: ", "at least 4 fields"),
        ("", ": ", "no pair of words"),
        ("word1 word2 score\n# nothing\n", ": ", "no pair of words"),
    ],
)
def test_malformed(tmp_path, text, where, what):
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_ratings(path)
    assert str(caught.value).startswith(path + where)
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


words = st.text(st.sampled_from("abcxyz汉字ñ'"), min_size=1, max_size=6)
numbers = st.floats(-1e3, 1e3, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(words, words, numbers), min_size=1, max_size=6),
    st.sampled_from(["\t", " ", ",", " , "]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", "word1{0}word2{0}mean"]),
)
def test_what_is_written_is_read(tmp_path_factory, pairs, separator, end, header):
    lines = [separator.join([a, b, repr(score)]) for a, b, score in pairs]
    text = end.join([header.format(separator), *lines])
    path = written(tmp_path_factory.mktemp("ratings"), text)
    assert read_ratings(path) == [RatedPair(*pair) for pair in pairs]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = written(tmp_path_factory.mktemp("ratings"), text.encode("utf-8", "replace").decode())
    try:
        pairs = read_ratings(path)
    except InputError:
        return
    assert pairs
    assert all(pair.word1 and pair.word2 and math.isfinite(pair.rating) for pair in pairs)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(3, 30))
def test_rho_and_r_are_scipys(data, size):
    values = st.lists(
        st.sampled_from([0.1, 0.2, 0.3, 1.0, -2.5, 7.0]), min_size=size, max_size=size
    )
    x, y = np.array(data.draw(values)), np.array(data.draw(values))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert ratings.spearman(x, y) is None
        assert ratings.pearson(x, y) is None
        return
    assert ratings.average_ranks(x) == pytest.approx(stats.rankdata(x), abs=0)
    assert ratings.spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert ratings.pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)


def test_correlation_of_extreme_numbers():
    x = np.array([1.0, 2.0, 4.0])
    for factor in (1e-200, 1e200):
        assert ratings.pearson(x * factor, x) == pytest.approx(1.0, abs=1e-12)


def test_interval_is_that_of_ranking_each_resample_anew():
    random = np.random.default_rng(4)
    x = random.integers(0, 6, 25).astype(float)
    y = np.round(x + random.normal(0, 3, 25))
    again = np.random.default_rng(9)
    rhos = []
    for _ in range(200):
        drawn = again.integers(0, 25, 25)
        rhos.append(stats.spearmanr(x[drawn], y[drawn]).statistic)
    expected = np.quantile(rhos, [0.025, 0.975])
    assert spearman_interval(x, y, resamples=200, seed=9) == pytest.approx(
        list(expected), abs=1e-12
    )
    assert spearman_interval(x, y, resamples=200, seed=10) != pytest.approx(
        list(expected), abs=1e-6
    )


def test_interval_where_rho_is_undefined():
    x = np.array([1.0, 2.0, 3.0])
    assert spearman_interval(x[:2], x[:2]) is None
    assert spearman_interval(x, np.ones(3)) is None
    # Some of these resamples hold one pair three times; they are left out.
    assert spearman_interval(x, x, resamples=100) == [1.0, 1.0]


@pytest.fixture
def vectors():
    """Cosines with east: near 0.8, north 0, west -1; <unk> is a special."""
    table = [[9.0, 9.0], [2.0, 0.0], [0.0, 3.0], [0.8, 0.6], [-1.0, 0.0]]
    names = ["<unk>", "east", "north", "near", "west"]
    return KeyedVectors(names, np.array(table, np.float32), skip=(0,))


def test_similarity_and_coverage(vectors):
    pairs = [
        RatedPair("east", "near", 9.0),
        RatedPair("east", "north", 5.0),
        RatedPair("lost", "east", 10.0),
        RatedPair("west", "east", 6.0),
        RatedPair("<unk>", "east", 1.0),
        RatedPair("east", "east", 10.0),
    ]
    result = rate_similarity(Lookup(vectors), pairs, resamples=100)
    cosines = [pair["cosine"] for pair in result["per_pair"]]
    assert cosines[2] is cosines[4] is None
    known = [0, 1, 3, 5]
    assert [cosines[i] for i in known] == pytest.approx([0.8, 0.0, -1.0, 1.0], abs=1e-7)
    assert (result["pairs"], result["covered"], result["coverage"]) == (6, 4, 4 / 6)
    assert (result["words"], result["unknown_words"]) == (6, ["lost", "<unk>"])
    # Ratings 9 5 6 10, cosines .8 0 -1 1: ranks 3 1 2 4 and 3 2 1 4, so rho = 1 - 6 * 2 / 60.
    assert result["spearman"] == pytest.approx(0.8, abs=1e-12)
    assert result["pearson"] == pytest.approx(
        stats.pearsonr([0.8, 0.0, -1.0, 1.0], [9, 5, 6, 10]).statistic, abs=1e-7
    )
    both = stats.spearmanr([0.8, 0.0, 0.2, -1.0, 0.2, 1.0], [9, 5, 10, 6, 1, 10]).statistic
    assert result["spearman_uncovered_as_mean"] == pytest.approx(both, abs=1e-12)


def test_figures_that_nothing_defines(vectors):
    two = rate_similarity(
        Lookup(vectors), [RatedPair("east", "near", 2.0), RatedPair("east", "west", 1.0)]
    )
    assert two["covered"] == 2
    constant = rate_similarity(
        Lookup(vectors), [RatedPair("east", word, 2.0) for word in ("near", "north", "west")]
    )
    assert constant["covered"] == 3
    none = rate_similarity(Lookup(vectors), [RatedPair("lost", "found", 2.0)])
    assert none["covered"] == 0
    keys = ("spearman", "interval_95", "pearson", "spearman_uncovered_as_mean")
    for result in (two, constant, none):
        assert [result[key] for key in keys] == [None] * 4


def test_lookup(vectors):
    lookup = Lookup(vectors)
    assert (lookup.row("east"), lookup.row("East"), lookup.row("<unk>")) == (1, None, None)
    assert list(lookup.rows) == [1, 2, 3, 4]
    assert Lookup(vectors, normalize=str.lower).row("EAST") == 1
    cased = KeyedVectors(["US", "us", "Us", "we"], np.eye(4), counts=[3, 9, 1, 5])
    lookup = Lookup(cased, ignore_case=True)
    assert [lookup.row(word) for word in ("US", "uS", "WE", "they")] == [1, 1, 3, None]
    assert list(lookup.rows) == [1, 3]
    lookup = Lookup(cased, restrict=2)
    assert (lookup.row("us"), lookup.row("we"), lookup.row("US")) == (1, 3, None)
    with pytest.raises(ConfigError, match="at least 1"):
        Lookup(cased, restrict=0)


def test_a_vector_that_is_not_finite(vectors):
    bad = KeyedVectors(["east", "west"], np.array([[1.0, 0.0], [np.nan, 1.0]]))
    with pytest.raises(ArtifactError, match="'west'"):
        rate_similarity(Lookup(bad), [RatedPair("east", "west", 1.0)])


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "pairs", "first", "last"),
    [
        ("similarity_en/EN-MEN-TR-3k.txt", 3000, 50.0, 0.0),
        ("similarity_en/EN-RG-65.txt", 65, 3.94, 0.02),
        ("similarity_en/EN-SIMLEX-999.txt", 999, 1.58, 6.08),
        ("similarity_en/EN-WS-353-ALL.txt", 353, 6.77, 3.78),
        ("similarity_zh/COS960_all.txt", 960, 4.0, 0.0),
        ("similarity_zh/wordsim240.txt", 240, 9.2, 0.15),
    ],
)
def test_real_files_are_read_whole(name, pairs, first, last):
    default = Path(__file__).parents[2] / ".." / "shared" / "corpora"
    folder = Path(os.environ.get("NPLM_REAL_CORPORA", default))
    if not folder.is_dir():
        pytest.skip("no real corpora (NPLM_REAL_CORPORA)")
    found = read_ratings(str(folder / name))
    assert (len(found), found[0].rating, found[-1].rating) == (pairs, first, last)
