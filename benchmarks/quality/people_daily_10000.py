"""People's Daily, January 1998, with a vocabulary of 10,000 words and vectors worth looking at."""

from recipe import run

run(
    __doc__,
    ("pku199801/words.train.txt", "pku199801/words.valid.txt"),
    (
        "--max-size", "10000", "--sentences", "line", "--dim", "128", "--hidden", "256", "--tie",
        "--dropout", "0.3", "--lr", "0.003",
    ),
    epochs=8,
)  # fmt: skip
