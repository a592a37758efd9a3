"""Sentences a user types: to tokens as the training text was, then to scored tokens."""

import dataclasses
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from nplm_cli.config import Context
from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.sentences import split_sentences
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.tokenizers import Span, count_chinese, is_unsegmented
from nplm_cli.corpus.vocabulary import EOS, EOS_ID, UNK, UNK_ID
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import Scorer

_TAGGED = re.compile(r"\S/[A-Za-z]+\S*$")
# A sentence's text and its tokens, offsets into that text.
Piece = tuple[str, list[Span]]


class ScoredToken(NamedTuple):
    """A token, its natural log-probability, and where it stands in the sentence's text.

    ``</s>`` stands at the end of the text and is empty there. ``seen`` is how many tokens of
    context the prediction rests on, the boundary included.
    """

    token: str
    id: int
    oov: bool
    logprob_e: float
    start: int
    end: int
    seen: int


@dataclass(frozen=True)
class ScoredSentence:
    """A sentence's tokens, ``</s>`` last unless it was left out."""

    text: str
    tokens: list[ScoredToken]

    @property
    def words(self) -> int:
        """Number of words, ``</s>`` not counted."""
        return sum(token.token != EOS or token.id != EOS_ID for token in self.tokens)

    @property
    def oov(self) -> int:
        """Number of unknown words."""
        return sum(token.oov for token in self.tokens)

    @property
    def logprob_e(self) -> float:
        """Natural log-probability of the sentence."""
        return math.fsum(token.logprob_e for token in self.tokens)


@dataclass
class SentenceReader:
    """Turns a user's text into tokens by the recipe of a run.

    Text for a model of segmented or tagged words is split at spaces (tagged text is recognised);
    if it is Chinese without a space it is segmented (jieba), which ``warnings`` tells, unless
    ``segmented`` says that it is segmented already. With ``split`` a text of several sentences
    becomes as many; without, it is scored as one, and ``warnings`` tells so where the training
    text was split.
    """

    recipe: TextRecipe
    segmented: bool = False
    split: bool = False
    warnings: list[str] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)

    def spans(self, text: str) -> list[Span]:
        """Tokens of a sentence with their offsets into ``text``."""
        return self._recipe_for(text).tokenize_spans(text)

    def sentences(self, text: str) -> list[Piece]:
        """Text and tokens of each sentence, offsets into its own text."""
        spans = self.spans(text)
        gaps = [i == 0 or spans[i - 1].end < span.start for i, span in enumerate(spans)]
        tokens = [span.token for span in spans]
        bounds = list(split_sentences(tokens, gaps)) if self.recipe.sentences == "split" else []
        if len(bounds) < 2:
            return [(text, spans)]
        if not self.split:
            self._warn(
                "sentences",
                f"{text[:24]!r}... holds {len(bounds)} sentences, scored as one; the training "
                "text was split into sentences: put one on each line (--sentences split "
                "does it)",
            )
            return [(text, spans)]
        pieces = []
        for start, end in bounds:
            begin, stop = spans[start].start, spans[end - 1].end
            own = [Span(s.token, s.start - begin, s.end - begin) for s in spans[start:end]]
            pieces.append((text[begin:stop], own))
        return pieces

    def _warn(self, kind: str, text: str) -> None:
        """Tell each kind of thing once."""
        if kind not in self._told:
            self._told.add(kind)
            self.warnings.append(text)

    def unknown_whole(self, text: str) -> None:
        """Tell that a short Chinese text without a space is one unknown word."""
        self._warn(
            "whole", f"{text!r} is one unknown word: put spaces between words to score several"
        )

    def _recipe_for(self, text: str) -> TextRecipe:
        recipe = self.recipe
        words = text.split()
        if recipe.format == "raw" and not self.segmented:
            if UNK not in words or recipe.lang == "char":
                return recipe
            self._warn(
                "unk", f"{UNK} stands among the words: read as segmented text, split at spaces"
            )
        tagged = bool(words) and sum(map(bool, map(_TAGGED.search, words))) >= 0.9 * len(words)
        if recipe.format == "pku" and tagged and not self.segmented:
            return recipe
        if not self.segmented and recipe.lang == "zh" and is_unsegmented(text):
            self._warn(
                "raw",
                f"{text[:12]!r}... has no spaces: segmented with {recipe.tokenizer}, which may cut "
                "words otherwise than the training text (--segmented forbids it)",
            )
            return dataclasses.replace(recipe, format="raw", lang="zh")
        return dataclasses.replace(recipe, format="segmented")


def score_sentences(
    run: Run,
    scorer: Scorer,
    texts: Sequence[str],
    reader: SentenceReader,
    *,
    context: Context | None = None,
    eos: bool = True,
    file_starts: Sequence[int] = (0,),
) -> list[ScoredSentence]:
    """Score sentences, each on its own or (``stream``) as running texts.

    ``file_starts`` are the indices in ``texts`` where a new text begins. Under the sentence
    policy a sentence's figures do not depend on what else is in ``texts``, unless the scorer has
    caches that run over a text. With ``eos`` False the end of the sentence is not counted.
    """
    split = read_texts(run, texts, reader)
    policy = context or run.config.training.context
    scored = score_pieces(run, scorer, split, context=policy, eos=eos, file_starts=file_starts)
    return [sentence for of_text in scored for sentence in of_text]


def read_texts(run: Run, texts: Sequence[str], reader: SentenceReader) -> list[list[Piece]]:
    """Sentences of each text as tokens; tells of a text that is one unknown Chinese word."""
    split = [reader.sentences(text) for text in texts]
    index = run.vocabulary.index
    for text, sentence in (piece for of_text in split for piece in of_text):
        lone = len(sentence) == 1 and not reader.segmented
        if lone and sentence[0].token not in index and count_chinese(text) > 1:
            reader.unknown_whole(text)
    return split


def score_pieces(
    run: Run,
    scorer: Scorer,
    split: Sequence[Sequence[Piece]],
    *,
    context: Context,
    eos: bool = True,
    file_starts: Sequence[int] = (0,),
) -> list[list[ScoredSentence]]:
    """Score texts that are tokens already: the sentences of each, as ``score_sentences`` does."""
    index = run.vocabulary.index
    pieces = [piece for of_text in split for piece in of_text]
    ids = [[index.get(span.token, UNK_ID) for span in sentence] for _, sentence in pieces]
    starts = np.concatenate([[0], np.cumsum([len(s) + 1 for s in ids])]).astype(np.int64)
    flat = np.array([i for sentence in ids for i in (*sentence, EOS_ID)], np.int64)
    first_pieces = np.cumsum([0, *map(len, split)])
    # Not np.unique, which loads masked arrays.
    begun = {int(starts[first_pieces[at]]) for at in file_starts if at < len(split)}
    files = np.array(sorted(begun), np.int64)
    part = Part(flat, starts, files, 0)
    nll_N = scorer.nll(part, context) if len(flat) else np.zeros(0)
    scored = []
    for (text, sentence), row, start in zip(pieces, ids, starts[:-1], strict=True):
        in_file = 1 + int(start - files[np.searchsorted(files, start, "right") - 1])
        base = in_file if context == "stream" else 1
        names = [(s.token, s.start, s.end) for s in sentence] + [(EOS, len(text), len(text))]
        tokens = []
        for t, ((token, begin, end), i) in enumerate(zip(names, [*row, EOS_ID], strict=True)):
            nats, seen = float(nll_N[start + t]), scorer.seen(base + t, in_file + t, 1 + t)
            tokens.append(ScoredToken(token, i, i == UNK_ID, 0.0 - nats, begin, end, seen))
        scored.append(ScoredSentence(text, tokens if eos else tokens[:-1]))
    return [scored[a:b] for a, b in itertools.pairwise(first_pieces)]
