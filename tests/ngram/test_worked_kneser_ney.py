"""Modified Kneser-Ney worked by hand.

Five sentences, words a b c, V = 5 with <unk> and </s> (written $ below):

    b / b a / a / c / a

Order 2. Bigrams keep their counts: $b 2, $a 2, $c 1, b$ 1, ba 1, a$ 3, c$ 1.
n1 = 4, n2 = 2, n3 = 1, n4 = 0;  Y = 4 / (4 + 2*2) = 1/2;
D1 = 1 - 2 Y 2/4 = 1/2,  D2 = 2 - 3 Y 1/2 = 5/4,  D3 = 3 - 4 Y 0/1 = 3.

Order 1. Words that each word was seen after: <unk> none, $ {b, a, c} 3, a {$, b} 2, b {$} 1,
c {$} 1; in all 7.
n1 = 2, n2 = 1, n3 = 1, n4 = 0;  Y = 2 / (2 + 2*1) = 1/2;
D1 = 1 - 2 Y 1/2 = 1/2,  D2 = 2 - 3 Y 1/1 = 1/2,  D3 = 3.

p(w) = (a(w) - D) / 7 + b / 5 with b = (2 D1 + D2 + D3) / 7 = 9/14, so b/5 = 9/70:
    <unk> 9/70,  $ 0 + 9/70,  a 3/14 + 9/70 = 24/70,  b 1/14 + 9/70 = 14/70,  c 14/70.

After $: total 5, b($) = (2 D2 + D1) / 5 = 3/5:
    <unk> 27/350,  $ 27/350,  a 3/20 + 3/5 24/70 = 249/700,  b 3/20 + 3/5 1/5 = 27/100,
    c 1/10 + 3/25 = 11/50.
After b: total 2, b(b) = 2 D1 / 2 = 1/2:
    <unk> 9/140,  $ 1/4 + 9/140 = 11/35,  a 1/4 + 12/70 = 59/140,  b 1/10,  c 1/10.
After a: total 3, b(a) = D3 / 3 = 1, and the count of a$ is discounted to 0: as with no context.
After c: total 1, b(c) = D1 = 1/2:  $ 1/2 + 9/140 = 79/140,  the rest halved.
After <unk>, never seen: as with no context.
"""

import numpy as np
import pytest

from nplm_cli.ngram import NgramModel

UNK, END, A, B, C = range(5)
SENTENCES = [[B], [B, A], [A], [C], [A]]
NO_CONTEXT = [9 / 70, 9 / 70, 24 / 70, 14 / 70, 14 / 70]


@pytest.fixture
def model(to_stream):
    return NgramModel.train(to_stream(SENTENCES), order=2, vocab_size=5)


def test_discounts(model):
    np.testing.assert_allclose(model.discounts, [[0, 0.5, 0.5, 3], [0, 0.5, 1.25, 3]], atol=1e-15)
    assert model.notes == []


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], NO_CONTEXT),
        ([END], [27 / 350, 27 / 350, 249 / 700, 27 / 100, 11 / 50]),
        ([END, B], [9 / 140, 11 / 35, 59 / 140, 1 / 10, 1 / 10]),
        ([END, B, A], NO_CONTEXT),
        ([C], [9 / 140, 79 / 140, 24 / 140, 1 / 10, 1 / 10]),
        ([UNK], NO_CONTEXT),
    ],
)
def test_distribution(model, history, expected):
    np.testing.assert_allclose(np.exp(model.next_log_probs(history)), expected, rtol=0, atol=1e-12)


def test_sentence(model, to_stream):
    p = np.exp(model.log_probs(to_stream([[B, A], [UNK]])))
    expected = [27 / 100, 59 / 140, 9 / 70, 27 / 350, 9 / 70]
    np.testing.assert_allclose(p, expected, rtol=0, atol=1e-12)
