"""A vector for each sentence: what the output layer reads after its last word.

For a recurrent model that is its last hidden state (Zong, Statistical Natural Language
Processing, ch. 5 s. 4), for a window model it knows the last n - 1 words alone. Shape suffixes:
N sentences, B rows of a batch, T positions, D width of what the output layer reads.
"""

from collections.abc import Sequence

import numpy as np

from nplm_cli.corpus.batches import scoring_batches
from nplm_cli.corpus.shards import sentences_of_ids
from nplm_cli.errors import ConfigError
from nplm_cli.query.scorer import BATCH_TOKENS, NeuralScorer, Scorer


def sentence_vectors(
    scorer: Scorer, sentences: Sequence[Sequence[int]], *, batch_tokens: int = BATCH_TOKENS
) -> np.ndarray:
    """Return a row (N, D), float32, for each sentence of ids, in order.

    Each sentence starts from the boundary, whatever the context policy of the model; the empty
    sentence has the state after the boundary alone. Sentences of like length are read together,
    ``batch_tokens`` at a time. Raises ConfigError for a model without hidden states.
    """
    if not isinstance(scorer, NeuralScorer):
        raise ConfigError(
            "an n-gram count model has no hidden state, so no sentence vectors; "
            "train --arch ffn, rnn, gru, lstm, attention or transformer for them"
        )
    part = sentences_of_ids(sentences)
    vectors_ND = np.zeros((len(sentences), scorer.width), np.float32)
    for batch, positions in scoring_batches(part, "sentence", batch_tokens):
        hidden_BTD = scorer.hidden(batch.ids_BT)
        lengths_B = np.count_nonzero(batch.targets_BT >= 0, axis=1)
        # The last prediction of a row is </s>, made after the last word.
        ends_B = positions[np.cumsum(lengths_B) - 1]
        rows_B = np.searchsorted(part.starts, ends_B, side="right") - 1
        vectors_ND[rows_B] = hidden_BTD[np.arange(len(lengths_B)), lengths_B - 1]
    return vectors_ND
