"""Penn Treebank, feedforward window model, the text as one stream as the literature reads it.

Vocabulary and text are those of Mikolov's preparation (10,000 types with </s>), so that the
validation perplexity stands beside published ones.
"""

from recipe import run

run(
    __doc__,
    ("ptb/ptb.train.txt", "ptb/ptb.valid.txt"),
    (
        "--context", "stream", "--order", "6", "--dim", "200", "--hidden", "200", "--tie",
        "--dropout", "0.3", "--lr", "0.003", "--batch", "32", "--bptt", "32",
        "--baseline-order", "5",
    ),
    epochs=10,
)  # fmt: skip
