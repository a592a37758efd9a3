"""The seven sentences of our own as one batch, for small language models."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.lessons.counts.text import SENTENCES, all_words, encoded, sentences_of
from nplm_cli.models.base import LanguageModel
from nplm_cli.ngram import unigram_log_probs
from nplm_cli.training.losses import FullLoss

PADDING = -1


class Corpus(NamedTuple):
    """A batch of sentences, a row each, and what a unigram model pays for a word of them."""

    words: int
    ids_BT: Tensor
    targets_BT: Tensor
    unigram: float

    def loss(self, model: LanguageModel) -> Tensor:
        """Mean of -ln p over words and sentence ends."""
        hidden_BTD, _ = model(self.ids_BT, model.initial_state(len(self.ids_BT)))
        counted_BT = self.counted_BT
        total = FullLoss(model)(hidden_BTD[counted_BT], self.targets_BT[counted_BT])
        return total / int(counted_BT.sum())

    @property
    def counted_BT(self) -> Tensor:
        """Where a word or ``</s>`` is predicted, and no padding."""
        return self.targets_BT != PADDING


def our_corpus() -> Corpus:
    """Read the sentences."""
    sentences = sentences_of(SENTENCES)
    vocabulary = all_words(sentences)
    ids = encoded(sentences, vocabulary)
    counts_V = vocabulary.counts[1:]  # <unk> stands nowhere
    log_p_V, _ = unigram_log_probs(counts_V)
    return Corpus(
        len(vocabulary),
        pad_sequence([torch.tensor([EOS_ID, *s[:-1]]) for s in ids], True, EOS_ID),
        pad_sequence([torch.tensor(s) for s in ids], True, PADDING),
        -float((log_p_V * counts_V).sum() / counts_V.sum()),
    )
