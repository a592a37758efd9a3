"""3CosAdd and 3CosMul against gensim, most_similar and plain formulas; question files."""

import os
from collections import Counter
from pathlib import Path
from unittest import mock

import gensim.models
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.errors import ArtifactError, ConfigError, InputError
from nplm_cli.vectors import analogy_search
from nplm_cli.vectors.analogy import (
    EPSILON,
    Question,
    Questions,
    answer_questions,
    complete_analogy,
    read_questions,
)
from nplm_cli.vectors.keyed import KeyedVectors
from nplm_cli.vectors.lookup import Lookup


def random_vectors(size=60, dim=7, seed=0, **options):
    table = np.random.default_rng(seed).normal(size=(size, dim)).astype(np.float32)
    return KeyedVectors([f"w{i}" for i in range(size)], table, **options)


def asked(*questions):
    return Questions([None], [Question(0, *(f"w{i}" for i in rows)) for rows in questions])


def test_cosadd_is_most_similar():
    vectors = random_vectors(skip=(0, 1))
    for a, b, c in ([2, 3, 4], [9, 8, 7], [5, 5, 6]):
        found = complete_analogy(Lookup(vectors), a, b, c, 60)["cosadd"]
        assert [(n.word, n.score) for n in found] == vectors.most_similar([b, c], [a], 60)


@pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning")
def test_both_are_gensims():
    vectors = random_vectors()
    theirs = gensim.models.KeyedVectors(vectors.dim)
    theirs.add_vectors(vectors.words, vectors.vectors)
    for a, b, c in ([2, 3, 4], [9, 8, 7], [30, 1, 50]):
        words = {"positive": [f"w{b}", f"w{c}"], "negative": [f"w{a}"], "topn": 20}
        # gensim's epsilon is not that of the paper.
        found = complete_analogy(Lookup(vectors), a, b, c, 20, epsilon=1e-6)
        for method, expected in (
            ("cosadd", theirs.most_similar(**words)),
            ("cosmul", theirs.most_similar_cosmul(**words)),
        ):
            assert [n.word for n in found[method]] == [word for word, _ in expected]
            scores = [score for _, score in expected]
            assert [n.score for n in found[method]] == pytest.approx(scores, rel=1e-4)


def test_epsilon_of_the_paper():
    # cos(x, b) = cos(x, c) = 1 and cos(x, a) = -1: shifted, 1 * 1 / (0 + 0.001).
    vectors = KeyedVectors(
        list("abcx"), np.array([[-1.0, 0], [1, 0], [2, 0], [3, 0]]), [4, 3, 2, 1]
    )
    [best] = complete_analogy(Lookup(vectors), 0, 1, 2)["cosmul"]
    assert (best.word, best.score, best.count) == ("x", pytest.approx(1000, rel=1e-12), 1)
    assert EPSILON == 0.001


def by_formula(table, rows, a, b, c):
    """Best rows by 3CosAdd (the sum of cosines) and 3CosMul, words of the question left out."""
    unit = table.astype(np.float64)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    cos_a, cos_b, cos_c = (unit[rows] @ unit[i] for i in (a, b, c))
    add = cos_b - cos_a + cos_c
    mul = (1 + cos_b) / 2 * (1 + cos_c) / 2 / ((1 + cos_a) / 2 + 0.001)
    for scores in (add, mul):
        scores[np.isin(rows, [a, b, c])] = -np.inf
    return rows[add.argmax()], rows[mul.argmax()]


@pytest.mark.parametrize("restrict", [None, 150])
def test_many_questions_in_blocks_are_the_formulas(monkeypatch, restrict):
    monkeypatch.setattr(analogy_search, "_BLOCK_ROWS", 64)
    monkeypatch.setattr(analogy_search, "_BATCH", 16)
    monkeypatch.setattr(analogy_search, "_TILE_ROWS", 7)
    monkeypatch.setattr(analogy_search, "_BOUNDS", 640)
    monkeypatch.setattr(analogy_search, "EXACT_NUMBERS", 50)
    counts = np.random.default_rng(1).permutation(300)
    vectors = random_vectors(300, 5, counts=counts, skip=(0, 1))
    lookup = Lookup(vectors, restrict=restrict)
    random = np.random.default_rng(2)
    rows_Q4 = random.integers(0, 300, (100, 4))
    seen = []
    found = answer_questions(lookup, asked(*rows_Q4.tolist()), on_event=seen.append)
    expected_rows = np.sort(np.argsort(-counts))  # all
    if restrict:
        expected_rows = np.sort([r for r in np.argsort(-counts) if r > 1][:150])
    expected_rows = expected_rows[expected_rows > 1]
    assert list(lookup.rows) == list(expected_rows)
    covered = 0
    for question, rows in zip(found["per_question"], rows_Q4, strict=True):
        if not np.isin(rows, expected_rows).all():
            assert (question["covered"], question["cosadd"], question["cosmul"]) == (
                False,
                None,
                None,
            )
            continue
        covered += 1
        add, mul = by_formula(vectors.vectors, expected_rows, *rows[:3])
        assert (question["cosadd"], question["cosmul"]) == (f"w{add}", f"w{mul}")
        one = complete_analogy(lookup, *rows[:3].tolist(), k=1)
        assert [one[m][0].word for m in ("cosadd", "cosmul")] == [f"w{add}", f"w{mul}"]
    assert found["total"]["covered"] == covered > 0
    assert [event.done for event in seen] == list(range(0, len(expected_rows), 64))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_many_questions_are_answered_as_one_is(data):
    """Zero rows, equal and parallel rows, tiny and huge ones: the same answer, ties by row."""
    dim = data.draw(st.integers(1, 4))
    number = st.sampled_from([0.0, 1.0, -1.0, 0.25, 3.0, 1e-20, -1e20])
    row = st.lists(number, min_size=dim, max_size=dim)
    table = np.array(data.draw(st.lists(row, min_size=1, max_size=12)), np.float32)
    vectors = KeyedVectors([f"w{i}" for i in range(len(table))], table)
    lookup = Lookup(vectors, restrict=data.draw(st.integers(1, len(table))))
    known = st.integers(0, len(lookup.rows) - 1)
    questions = data.draw(st.lists(st.tuples(known, known, known, known), min_size=1, max_size=5))
    blocks = {
        "_BLOCK_ROWS": data.draw(st.integers(1, 13)),
        "_TILE_ROWS": data.draw(st.integers(1, 4)),
    }
    with mock.patch.multiple(analogy_search, **blocks):
        found = answer_questions(lookup, asked(*questions))
    for given_rows, question in zip(questions, found["per_question"], strict=True):
        one = complete_analogy(lookup, *given_rows[:3], k=1)
        for method in ("cosadd", "cosmul"):
            expected = one[method][0].word if one[method] else None
            assert question[method] == expected


def test_equal_rows_tie_to_the_bit_in_order_of_rows():
    random = np.random.default_rng(5)
    one = random.normal(size=33).astype(np.float32)
    table = np.concatenate([random.normal(size=(3, 33)), np.tile(one, (40, 1))]).astype(np.float32)
    vectors = KeyedVectors([f"w{i}" for i in range(43)], table)
    found = complete_analogy(Lookup(vectors), 0, 1, 2, 40)
    for method in ("cosadd", "cosmul"):
        assert [n.word for n in found[method]] == [f"w{i}" for i in range(3, 43)]
        assert len({n.score for n in found[method]}) == 1
    answer = answer_questions(Lookup(vectors), asked([0, 1, 2, 3]))["per_question"][0]
    assert (answer["cosadd"], answer["cosmul"]) == ("w3", "w3")


def test_rows_that_float32_cannot_tell_apart(monkeypatch):
    monkeypatch.setattr(analogy_search, "_BLOCK_ROWS", 8)
    monkeypatch.setattr(analogy_search, "_TILE_ROWS", 3)
    random = np.random.default_rng(6)
    near = random.normal(size=33).astype(np.float32)
    steps = random.integers(-1, 2, (60, 33)).astype(np.float32)
    table = np.concatenate([random.normal(size=(12, 33)), near + steps * np.spacing(near)])
    lookup = Lookup(KeyedVectors([f"w{i}" for i in range(72)], table.astype(np.float32)))
    questions = [random.permutation(12)[:4].tolist() for _ in range(40)]
    found = answer_questions(lookup, asked(*questions))
    for (a, b, c, _), question in zip(questions, found["per_question"], strict=True):
        one = complete_analogy(lookup, a, b, c, k=1)
        for method in ("cosadd", "cosmul"):
            assert question[method] == one[method][0].word


def test_counts_of_sections():
    # Two directions, royal and female: king - man + woman is queen, for both methods.
    table = [[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1], [0, 1, -3]]
    vectors = KeyedVectors(["man", "woman", "king", "queen", "stone"], np.array(table, float))
    right = ("man", "woman", "king", "queen")
    wrong = ("man", "woman", "king", "stone")
    unknown = ("man", "woman", "king", "empress")
    questions = Questions(
        ["good", "mixed", "empty", "lost"],
        [
            Question(0, *right),
            Question(1, *right),
            Question(1, *wrong),
            Question(1, *unknown),
            Question(3, *unknown),
        ],
    )
    found = answer_questions(Lookup(vectors), questions)
    expected = [
        ("good", 1, 1, 1, 1.0, 1.0),
        ("mixed", 3, 2, 1, 0.5, 1 / 3),
        ("empty", 0, 0, 0, None, None),
        ("lost", 1, 0, 0, None, 0.0),
    ]
    for record, (name, count, covered, correct, accuracy, of_all) in zip(
        found["sections"], expected, strict=True
    ):
        assert (record["section"], record["questions"], record["covered"]) == (name, count, covered)
        figures = {"correct": correct, "accuracy": accuracy, "accuracy_of_all": of_all}
        assert record["cosadd"] == record["cosmul"] == figures
    assert found["total"]["cosadd"] == {"correct": 2, "accuracy": 2 / 3, "accuracy_of_all": 0.4}
    assert (found["words"], found["unknown_words"]) == (6, ["empress"])
    assert [q["cosmul_correct"] for q in found["per_question"]] == [True, True, False, False, False]
    assert found["per_question"][2]["section"] == "mixed"


def test_ignoring_case():
    table = [[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1], [1, 1, 1.1]]
    vectors = KeyedVectors(["Man", "Woman", "King", "Queen", "queen"], np.array(table, float))
    questions = Questions(["s"], [Question(0, "man", "woman", "king", "queen")])
    assert answer_questions(Lookup(vectors), questions)["total"]["covered"] == 0
    found = answer_questions(Lookup(vectors, ignore_case=True), questions)
    assert found["per_question"][0]["cosadd"] == "Queen"
    assert found["total"]["cosmul"]["accuracy"] == 1.0


def test_refusals():
    with pytest.raises(ConfigError, match="k is 0"):
        complete_analogy(Lookup(random_vectors()), 0, 1, 2, 0)
    bad = KeyedVectors(list("abcd"), np.array([[1.0], [1], [1], [np.inf]]))
    with pytest.raises(ArtifactError, match="'d'"):
        complete_analogy(Lookup(bad), 0, 1, 2)
    with pytest.raises(ArtifactError, match="'d'"):
        answer_questions(Lookup(bad), Questions(["s"], [Question(0, *"abcd")]))


def test_question_files(tmp_path):
    text = "\ufeffa b c d\r\n\r\n: family ties\r\na\tb\tc\td\r\nx  y z\tw\r\n:empty\r\n:b\r\nNew York\tb\tc\td"
    path = tmp_path / "q.txt"
    path.write_text(text, "utf-8", newline="")
    found = read_questions(str(path))
    assert found.sections == [None, "family ties", "empty", "b"]
    assert found.questions == [
        Question(0, "a", "b", "c", "d"),
        Question(1, "a", "b", "c", "d"),
        Question(1, "x", "y", "z", "w"),
        Question(3, "New York", "b", "c", "d"),
    ]
    path.write_text(": 国家\n法国 巴黎 日本 东京\n", "gb18030")
    found = read_questions(str(path))
    assert found == Questions(["国家"], [Question(0, "法国", "巴黎", "日本", "东京")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (": s\na b c d\na b c\n", ":3: 3 words: expected a question of four"),
        (": s\na b c d e\n", ":2: 5 words"),
        (": s\n\n", ": no question"),
        ("", ": no question"),
    ],
)
def test_malformed_questions(tmp_path, text, message):
    path = tmp_path / "q.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        read_questions(str(path))
    assert str(caught.value).startswith(str(path) + message)


word = st.text(st.sampled_from("ab汉é'-#"), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(word, word, word, word), min_size=1, max_size=6),
    st.sampled_from([" ", "\t", "  "]),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
)
def test_questions_written_are_read(tmp_path_factory, questions, separator, end):
    path = tmp_path_factory.mktemp("questions") / "q.txt"
    text = end.join([": s", *(separator.join(question) for question in questions)])
    path.write_bytes(text.encode())
    assert [q[1:] for q in read_questions(str(path)).questions] == questions


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "sections", "questions", "longest"),
    [("questions-words.txt", 14, 19_544, 4_524), ("ca8.morphological.txt", 4, 10_177, 2554)],
)
def test_real_files_are_read_whole(name, sections, questions, longest):
    default = Path(__file__).parents[2] / ".." / "shared" / "corpora"
    folder = Path(os.environ.get("NPLM_REAL_CORPORA", default))
    if not folder.is_dir():
        pytest.skip("no real corpora (NPLM_REAL_CORPORA)")
    found = read_questions(str(folder / "analogy" / name))
    assert (len(found.sections), len(found.questions)) == (sections, questions)
    sizes = Counter(question.section for question in found.questions)
    assert len(sizes) == sections
    assert max(sizes.values()) == longest
