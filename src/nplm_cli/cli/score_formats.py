"""Layouts of scored sentences: tables, JSON lines, and those of KenLM and SRILM."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nplm_cli.cli import output
from nplm_cli.corpus.vocabulary import EOS, EOS_ID
from nplm_cli.query.sentences import ScoredSentence, ScoredToken

if TYPE_CHECKING:
    from nplm_cli.query.totals import Totals

LN10 = math.log(10)


@dataclass(frozen=True)
class Base:
    """Unit of a surprisal: the name of its column, and natural logarithms to a unit.

    ``logprob`` is the name of the natural logarithm; ``exact`` is False of self-normalised scores,
    which are no log-probabilities and never named so.
    """

    column: str
    unit: str
    nats: float
    logprob: str = "logprob_e"
    exact: bool = True

    def self_normalised(self) -> "Base":
        """The same unit of scores whose Z is near 1 and not worked out."""
        column = self.column.replace("surprisal", "self_normalised")
        return replace(self, column=column, logprob="self_normalised_logscore_e", exact=False)

    def surprisal(self, logprob_e: float) -> float:
        """Surprisal of a natural log-probability, in this unit; never -0.0."""
        return 0.0 - logprob_e / self.nats


BASES = {
    "2": Base("surprisal_bits", "bits (base 2)", math.log(2)),
    "e": Base("surprisal_nats", "nats (base e)", 1.0),
    "10": Base("surprisal_log10", "base-10 digits", LN10),
}


def _token_record(token: ScoredToken, base: Base) -> dict[str, Any]:
    return {
        "token": token.token,
        "id": token.id,
        "oov": token.oov,
        base.logprob: token.logprob_e,
        base.column: base.surprisal(token.logprob_e),
        "start": token.start,
        "end": token.end,
    }


def _sentence_record(sentence: ScoredSentence, base: Base) -> dict[str, Any]:
    return {
        "text": sentence.text,
        "words": sentence.words,
        "oov": sentence.oov,
        base.logprob: sentence.logprob_e,
        base.column: base.surprisal(sentence.logprob_e),
    }


def write_records(
    sentences: Iterable[ScoredSentence],
    unit: Base,
    per_token: bool,
    caches: Sequence[dict[str, Any]] = (),
) -> None:
    """Write one JSON object a sentence; the ``caches`` that took part are named in each."""
    for sentence in sentences:
        record = {"schema": 1, **_sentence_record(sentence, unit)}
        if per_token:
            record["per_token"] = [_token_record(t, unit) for t in sentence.tokens]
        if caches:
            record["caches"] = list(caches)
        output.write_json(record)


def write_table(
    sentences: Iterable[ScoredSentence], unit: Base, per_token: bool, style: str
) -> None:
    """Write one row a sentence, or (``per_token``) one a token with the sentence's number."""
    if not per_token:
        columns = ["text", "words", "oov", unit.logprob, unit.column]
        rows: Iterable[list[Any]] = (list(_sentence_record(s, unit).values()) for s in sentences)
    else:
        columns = ["sentence", "token", "id", "oov", unit.logprob, unit.column, "start", "end"]
        rows = (
            [number, *_token_record(token, unit).values()]
            for number, sentence in enumerate(sentences, 1)
            for token in sentence.tokens
        )
    output.write_table(columns, rows, style=style)


def write_kenlm(sentences: Iterable[ScoredSentence], *, exact: bool = True) -> None:
    """Write the layout of KenLM's ``query``: log10, ``surface=id length log10`` by word.

    The length is the number of tokens that the prediction rests on, itself included, at most the
    order. Unlike there, a last line without a newline is scored. Self-normalised scores (not
    ``exact``) have no perplexity: its lines are left out.
    """
    total = oov_total = 0.0
    tokens = oovs = 0
    for sentence in sentences:
        cells = []
        for t in sentence.tokens:
            log10 = t.logprob_e / LN10
            cells.append(f"{output.plain(t.token)}={t.id} {t.seen + 1} {log10 + 0.0:.8g}")
            oov_total += log10 if t.oov else 0.0
        log10_sum = sentence.logprob_e / LN10
        output.write_line("\t".join(cells) + f"\tTotal: {log10_sum + 0.0:.8g} OOV: {sentence.oov}")
        total += log10_sum
        tokens += len(sentence.tokens)
        oovs += sentence.oov
    if not exact:
        output.write_line(f"OOVs:\t{oovs}")
        output.write_line(f"Tokens:\t{tokens}")
        return
    including = 10 ** (-total / tokens) if tokens else math.nan
    excluding = 10 ** (-(total - oov_total) / (tokens - oovs)) if tokens > oovs else math.nan
    output.write_line(f"Perplexity including OOVs:\t{including:.8g}")
    output.write_line(f"Perplexity excluding OOVs:\t{excluding:.8g}")
    output.write_line(f"OOVs:\t{oovs}")
    output.write_line(f"Tokens:\t{tokens}")


def write_summary(totals: "Totals", unit: Base, style: str) -> None:
    """Write one record of a whole text: what a corpus is scored for when no line matters.

    Perplexity, over words and ends as they were counted, stands in it for exact scores alone.
    """
    from nplm_cli.evaluation.ledger import perplexity

    record: dict[str, Any] = {
        "sentences": totals.sentences,
        "words": totals.words,
        "oov": totals.oov,
        "predictions": totals.predictions,
        unit.logprob: totals.logprob_e,
        unit.column: unit.surprisal(totals.logprob_e),
    }
    if unit.exact:
        record["ppl"] = perplexity(-totals.logprob_e, totals.predictions)
        known = totals.predictions - totals.oov
        record["ppl_excluding_oov"] = perplexity(totals.oov_logprob_e - totals.logprob_e, known)
    if style == "json":
        output.write_json({"schema": 1, **record})
        return
    output.write_table(list(record), [list(record.values())], style=style)


@dataclass
class SrilmTotals:
    """The two lines that end SRILM's ``-ppl``: unknown words and zero probabilities left out."""

    sentences: int = 0
    words: int = 0
    oovs: int = 0
    zeroprobs: int = 0
    logprob: float = 0.0

    def lines(self) -> list[str]:
        """``ppl`` counts an end for each sentence, ``ppl1`` does not."""
        scored = self.words - self.oovs - self.zeroprobs
        return [
            f"{self.sentences} sentences, {self.words} words, {self.oovs} OOVs",
            f"{self.zeroprobs} zeroprobs, logprob= {self.logprob + 0.0:.6g} "
            f"ppl= {self._ppl(scored + self.sentences)} ppl1= {self._ppl(scored)}",
        ]

    def _ppl(self, denominator: int) -> str:
        if denominator <= 0:
            return "undefined"
        return f"{10 ** (-self.logprob / denominator):.6g}"


def write_srilm(sentences: Iterable[ScoredSentence]) -> None:
    """Write the layout of SRILM's ``ngram -ppl FILE -debug 2``; unknown words count nothing."""
    file = SrilmTotals()
    for sentence in sentences:
        one = SrilmTotals(sentences=1, words=sentence.words)
        output.write_line(
            " ".join(output.plain(t.token) for t in sentence.tokens if t.id != EOS_ID)
        )
        before = ["<s>"]
        for t in sentence.tokens:
            name = EOS if t.id == EOS_ID else "<unk>" if t.oov else output.plain(t.token)
            context = before[-1] + (" ..." if len(before) > 1 else "")
            log10 = t.logprob_e / LN10
            if t.oov:
                one.oovs += 1
                shown = "[OOV] 0 [ -inf ]"
            elif math.isinf(log10):
                one.zeroprobs += 1
                shown = "[0gram] 0 [ -inf ]"
            else:
                one.logprob += log10
                shown = f"[{t.seen + 1}gram] {10**log10:.6g} [ {log10 + 0.0:.6g} ]"
            output.write_line(f"\tp( {name} | {context} ) \t= {shown}")
            before.append(name)
        for line in one.lines():
            output.write_line(line)
        output.write_line("")
        for field in ("sentences", "words", "oovs", "zeroprobs", "logprob"):
            setattr(file, field, getattr(file, field) + getattr(one, field))
    head, tail = file.lines()
    output.write_line(f"file -: {head}")
    output.write_line(tail)
