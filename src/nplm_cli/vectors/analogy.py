"""Analogies, a is to b as c is to what: 3CosAdd and 3CosMul, and tests made of such questions.

3CosAdd (Mikolov, Yih & Zweig 2013) ranks a word x by ``cos(x, b) - cos(x, a) + cos(x, c)``, which
is the order of its cosine to ``b - a + c`` of unit vectors; that cosine is the score given here.
3CosMul (Levy & Goldberg 2014, eq. 4) ranks by ``cos(x, b) cos(x, c) / (cos(x, a) + epsilon)``
with cosines shifted to [0, 1]. The words of the question never answer it.
"""

from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from nplm_cli import events
from nplm_cli.corpus.readers import read_lines, shown_name
from nplm_cli.errors import ConfigError, InputError
from nplm_cli.vectors.analogy_search import EXACT_NUMBERS, METHODS, ExactScores, first_answers
from nplm_cli.vectors.keyed import Neighbor
from nplm_cli.vectors.lookup import Lookup

EPSILON = 0.001  # of 3CosMul; "to prevent division by zero" (Levy & Goldberg 2014, section 4)


class Question(NamedTuple):
    """``a`` is to ``b`` as ``c`` is to ``expected``; ``section`` counts from 0 in the file."""

    section: int
    a: str
    b: str
    c: str
    expected: str


class Questions(NamedTuple):
    """The questions of a file and the names of its sections (None before the first heading)."""

    sections: list[str | None]
    questions: list[Question]


def read_questions(
    file: str,
    encoding: str = "auto",
    *,
    stdin: BinaryIO | None = None,
    on_event: Callable[[str], None] | None = None,
) -> Questions:
    """Read a file (``-`` for standard input) of questions ``a b c d`` in sections ``: name``.

    Words are separated by white space, or by tabs alone where there are three of them. Blank
    lines are skipped, repeated questions stay. Encodings, compression and ``on_event`` are those
    of ``read_lines``, and so are the errors; InputError as well, with file and line, for a line
    that is no question, and for a file without one.
    """
    sections: list[str | None] = []
    questions = []
    for line in read_lines([file], encoding, stdin=stdin, on_event=on_event):
        text = line.text.strip()
        if text.startswith(":"):
            sections.append(text[1:].strip())
        elif text:
            words = [word.strip() for word in line.text.split("\t")]
            if len(words) != 4 or not all(words):
                words = text.split()
            if len(words) != 4:
                raise InputError(
                    f"{shown_name(file)}:{line.number}: {len(words)} words: expected a question "
                    "of four, 'a b c d', or a section, ': name'"
                )
            if not sections:
                sections.append(None)
            questions.append(Question(len(sections) - 1, *words))
    if not questions:
        raise InputError(f"{shown_name(file)}: no question: expected lines of four words 'a b c d'")
    return Questions(sections, questions)


def complete_analogy(
    lookup: Lookup, a: int, b: int, c: int, k: int = 10, *, epsilon: float = EPSILON
) -> dict[str, list[Neighbor]]:
    """The k best answers to "a is to b as c is to what", rows of words, by each of ``METHODS``.

    The rows of ``lookup`` but a, b and c may answer. Scores are computed in float64, the same for
    equal rows to the bit. Raises ConfigError for k below 1, UnknownWordError for a row that is
    not there, ArtifactError when a vector is not finite.
    """
    if k < 1:
        raise ConfigError(f"k is {k}: expected at least 1 answer")
    vectors = lookup.vectors
    vectors.check_finite()
    question = ExactScores(vectors, np.array([[vectors[row] for row in (a, b, c)]]), epsilon)
    rows = lookup.rows[~np.isin(lookup.rows, [a, b, c])]
    size = max(1, EXACT_NUMBERS // max(1, vectors.dim))
    blocks = [rows[start : start + size] for start in range(0, len(rows), size)]
    found = {}
    for method in METHODS:
        parts = [question.scores(method, np.zeros(len(block), int), block) for block in blocks]
        scores = np.concatenate([np.zeros(0), *parts])
        best = np.lexsort((rows, -scores))[:k]
        found[method] = [vectors.neighbor(int(rows[i]), float(scores[i])) for i in best]
    return found


def answer_questions(
    lookup: Lookup,
    asked: Questions,
    *,
    epsilon: float = EPSILON,
    on_event: events.OnEvent = events.ignore,
) -> dict[str, Any]:
    """Answer the questions of a file and count what is right.

    A question is covered when ``lookup`` finds its four words. Keys: ``sections``, a list of
    ``section`` (its name or None), ``questions``, ``covered`` and for each of ``METHODS`` a dict
    of ``correct``, ``accuracy`` (of the covered questions) and ``accuracy_of_all`` (uncovered
    ones counted as wrong), both None where there is nothing to divide by; ``total``, the same of
    the whole file without ``section``; ``words`` (different ones), ``unknown_words`` (list);
    ``per_question``, dicts of ``section``, ``a``, ``b``, ``c``, ``expected``, ``covered``, the
    two answers (None when uncovered) and ``cosadd_correct``, ``cosmul_correct``.
    Raises ArtifactError when a vector is not finite.
    """
    rows_of = {word: lookup.row(word) for question in asked.questions for word in question[1:]}
    rows_Q4 = np.array(
        [[-1 if (r := rows_of[w]) is None else r for w in q[1:]] for q in asked.questions], np.int64
    ).reshape(-1, 4)
    covered: np.ndarray = np.all(rows_Q4 >= 0, axis=1)
    answers = np.full((len(METHODS), len(rows_Q4)), -1)
    answers[:, covered] = first_answers(
        lookup.vectors,
        lookup.rows,
        rows_Q4[covered, :3],
        epsilon,
        lambda done: on_event(events.Progress("answering analogies", done, len(lookup.rows))),
    )
    correct = covered & (answers == rows_Q4[:, 3])
    section_Q = np.array([question.section for question in asked.questions], np.int64)

    def counted(chosen: np.ndarray) -> dict[str, Any]:
        all_of_them, known = int(chosen.sum()), int((chosen & covered).sum())
        record: dict[str, Any] = {"questions": all_of_them, "covered": known}
        for method, right in zip(METHODS, correct, strict=True):
            hits = int((chosen & right).sum())
            record[method] = {
                "correct": hits,
                "accuracy": hits / known if known else None,
                "accuracy_of_all": hits / all_of_them if all_of_them else None,
            }
        return record

    words = lookup.vectors.words
    per_question = []
    for i, question in enumerate(asked.questions):
        given = {method: int(row[i]) for method, row in zip(METHODS, answers, strict=True)}
        record = {**question._asdict(), "section": asked.sections[question.section]}
        record["covered"] = bool(covered[i])
        record |= {method: words[row] if row >= 0 else None for method, row in given.items()}
        record |= {f"{m}_correct": bool(correct[j, i]) for j, m in enumerate(METHODS)}
        per_question.append(record)
    return {
        "sections": [
            {"section": name, **counted(section_Q == i)} for i, name in enumerate(asked.sections)
        ],
        "total": counted(np.ones(len(section_Q), bool)),
        "words": len(rows_of),
        "unknown_words": [word for word, row in rows_of.items() if row is None],
        "per_question": per_question,
    }
