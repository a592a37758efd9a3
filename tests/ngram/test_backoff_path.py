"""The way back of one probability ends where the model's own table of all words does."""

import numpy as np
import pytest

from nplm_cli.ngram import NgramModel
from nplm_cli.ngram.backoff_path import backoff_path

V = 9
HISTORIES = ([], [1], [4], [1, 3], [5, 4, 3], [7, 7, 7, 7], [2, 1, 6])


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_every_word_after_every_history(order, context):
    ids = np.random.default_rng(4).integers(0, V - 1, 400)  # word 8 never comes
    ids[::6] = 1
    ids[-1] = 1
    model = NgramModel.train(ids, order=order, vocab_size=V, context=context)
    for history in HISTORIES:
        log_p_V = model.next_log_probs(history)
        for word in range(V):
            path = backoff_path(model, history, word)
            assert [level.order for level in path] == list(range(1, len(path) + 1))
            assert len(path) == 1 + len(model.window(history))
            assert path[-1].probability == pytest.approx(np.exp(log_p_V[word]), rel=1e-12)
            for level in path:
                assert level.count == (model.count([*level.history, word]) if level.known else 0)
                assert level.known == bool(len(model.continuations(level.history)[0]))
                # "sentence": a boundary in the middle would begin a new window
                assert level.history == model.window(level.history)


def test_what_the_orders_say_of_all_words_sums_to_1():
    ids = np.random.default_rng(1).integers(1, V, 300)
    ids[-1] = 1
    model = NgramModel.train(ids, order=3, vocab_size=V)
    paths = [backoff_path(model, [2, 3], word) for word in range(V)]
    for n in range(3):
        assert sum(path[n].probability for path in paths) == pytest.approx(1, abs=1e-12)
