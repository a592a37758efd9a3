"""A text scored for its totals: no record a word or a sentence is kept."""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nplm_cli.config import Context
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import EOS_ID, UNK_ID
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import Scorer
from nplm_cli.query.sentences import SentenceReader, read_texts

_CHINESE = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
# Lines that are scored together, where no line depends on others.
LINES = 16_384

Batch = tuple[Sequence[str], Sequence[int]]


@dataclass(frozen=True)
class Totals:
    """Sums over a text; ``predictions`` are words and, where they count, ends of sentences."""

    sentences: int = 0
    words: int = 0
    oov: int = 0
    predictions: int = 0
    logprob_e: float = 0.0
    oov_logprob_e: float = 0.0

    def __add__(self, other: "Totals") -> "Totals":
        """Sums of both."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Totals(*(a + b for a, b in pairs))


def add_up(
    run: Run,
    scorer: Scorer,
    batches: Iterable[Batch],
    reader: SentenceReader,
    *,
    context: Context,
    eos: bool = True,
) -> Totals:
    """Totals of lines as ``score_sentences`` would score them, sentence by sentence.

    ``batches`` are lines and those at which a new text begins. The scorer's figures are added up
    for what they are: log-probabilities, or self-normalised scores.
    """
    total = Totals()
    for texts, starts in _joined(batches) if context == "sentence" else batches:
        total += _of_batch(run, scorer, texts, starts, reader, context, eos)
    return total


def _joined(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Small batches together; those of several texts as they are."""
    waiting: list[str] = []
    for texts, starts in batches:
        if len(starts) > 1:
            yield texts, starts
            continue
        waiting.extend(texts)
        if len(waiting) >= LINES:
            yield waiting, (0,)
            waiting = []
    if waiting:
        yield waiting, (0,)


def _of_batch(
    run: Run,
    scorer: Scorer,
    texts: Sequence[str],
    file_starts: Sequence[int],
    reader: SentenceReader,
    context: Context,
    eos: bool,
) -> Totals:
    sentences = [list(of_text) for of_text in _tokens(run, texts, reader)]
    index = run.vocabulary.index
    ids: list[int] = []
    starts = [0]
    for tokens in itertools.chain.from_iterable(sentences):
        ids.extend(map(index.get, tokens, itertools.repeat(UNK_ID)))
        ids.append(EOS_ID)
        starts.append(len(ids))
    if not ids:
        return Totals()
    ids_N = np.array(ids, np.int64)
    first = np.array([0, *itertools.accumulate(map(len, sentences))])
    files = np.unique(np.array(starts)[first[[at for at in file_starts if at < len(sentences)]]])
    nll_N = scorer.nll(Part(ids_N, np.array(starts), files, 0), context)
    ends = np.zeros(len(ids_N), bool)
    ends[np.array(starts[1:]) - 1] = True
    counted = np.ones(len(ids_N), bool) if eos else ~ends
    unknown = (ids_N == UNK_ID) & ~ends
    return Totals(
        sentences=len(starts) - 1,
        words=len(ids_N) - (len(starts) - 1),
        oov=int(unknown.sum()),
        predictions=int(counted.sum()),
        logprob_e=0.0 - float(nll_N[counted].sum()),
        oov_logprob_e=0.0 - float(nll_N[unknown].sum()),
    )


def _tokens(
    run: Run, texts: Sequence[str], reader: SentenceReader
) -> Iterator[Iterable[Sequence[str]]]:
    """Tokens of the sentences of each text."""
    recipe = reader.recipe
    # English words with spaces, a line a sentence: nothing to find out, or to warn of but Chinese.
    plain = (recipe.format, recipe.sentences, recipe.lang) == ("segmented", "line", "en")
    if plain and not any(_CHINESE.search(text) for text in texts):
        for text in texts:
            yield (recipe.segmented_tokens(text),)
        return
    for of_text in read_texts(run, texts, reader):
        yield ([span.token for span in spans] for _, spans in of_text)
