"""``nplm score --given --word``: single words after the beginning of a sentence."""

import math
from typing import TYPE_CHECKING, Any

from nplm_cli.cli import output
from nplm_cli.cli.score_formats import Base
from nplm_cli.errors import ConfigError

if TYPE_CHECKING:
    from nplm_cli.query.run import Run
    from nplm_cli.query.scorer import Scorer
    from nplm_cli.query.sentences import SentenceReader


def write_words(
    run: "Run",
    scorer: "Scorer",
    reader: "SentenceReader",
    given: str,
    words: list[str],
    unit: Base,
    layout: str,
    caches: list[dict[str, Any]],
) -> None:
    """Write the probability of each of ``words`` after ``given``, a sentence's beginning."""
    if not all(word.strip() for word in words):
        raise ConfigError("--word '': name a word, or </s> for the end of the sentence")
    history = run.vocabulary.encode(span.token for span in reader.spans(given))
    for text in reader.warnings:
        output.warn(text)
    log_p_V = scorer.next_log_probs(history)
    rows = []
    for word in words:
        spelled = run.spelled(word)
        i = run.vocabulary.index.get(spelled, 0)
        log_p = float(log_p_V[i])
        record = {
            "given": given,
            "word": word,
            "oov": spelled not in run.vocabulary.index,
            "probability": math.exp(log_p),
            "logprob_e": log_p,
            unit.column: unit.surprisal(log_p),
        }
        rows.append(record)
    if layout == "json":
        for record in rows:
            output.write_json({"schema": 1, **record} | ({"caches": caches} if caches else {}))
        return
    output.write_table(list(rows[0]), [list(r.values()) for r in rows], style=layout)
