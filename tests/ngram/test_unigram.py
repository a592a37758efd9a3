import numpy as np

from nplm_cli.ngram import unigram_log_probs


def test_relative_frequencies():
    log_p, note = unigram_log_probs(np.array([1, 2, 5]))
    np.testing.assert_allclose(np.exp(log_p), [1 / 8, 2 / 8, 5 / 8], rtol=1e-15)
    assert note is None


def test_one_is_added_where_a_word_was_never_seen():
    log_p, note = unigram_log_probs(np.array([0, 2, 5, 0], dtype=np.uint16))
    np.testing.assert_allclose(np.exp(log_p), [1 / 11, 3 / 11, 6 / 11, 1 / 11], rtol=1e-15)
    assert "2 of the 4 words" in note
