"""Settings that several recipes share."""

# One LSTM layer, tied through a projection, read as one stream; regularised after Merity, Keskar &
# Socher (2018), begun with counted word vectors, trained on a sampled softmax first.
LSTM = (
    "--arch", "lstm", "--dim", "256", "--hidden", "512", "--tie", "--context", "stream",
    "--init", "counts", "--batch", "20", "--bptt", "48", "--lr", "0.004", "--l2", "0.02",
    "--clip", "0.5", "--schedule", "cosine", "--warmup", "0.03",
    "--dropout-embedding", "0.1", "--dropout-input", "0.2", "--dropout-output", "0.4",
    "--locked-dropout", "--weight-drop", "0.2", "--dropout-ramp", "0.7",
    "--loss", "sampled", "--full-from", "0.7", "--patience", "0",
)  # fmt: skip
# Five words side by side, four decaying averages of the 48 words before them, gated layers.
WINDOW = (
    "--arch", "ffn", "--order", "6", "--far", "48", "--averages", "4", "--gate", "--residual",
    "--layers", "2", "--norm", "pre", "--dim", "256", "--hidden", "384", "--tie",
    "--context", "stream", "--init", "counts", "--batch", "16", "--bptt", "64", "--lr", "0.002",
    "--l2", "0.05", "--clip", "1", "--schedule", "cosine", "--warmup", "0.03",
    "--dropout-input", "0.2", "--dropout-embedding", "0.1", "--word-dropout", "0.02",
    "--dropout-hidden", "0.2", "--dropout-output", "0.4", "--dropout-ramp", "0.5",
    "--loss", "sampled", "--full-from", "0.5", "--patience", "0",
)  # fmt: skip
# One hidden layer of rectified units over five words: what tables answer for quickly.
TABLES = (
    "--arch", "ffn", "--order", "6", "--dim", "200", "--hidden", "192", "--activation", "relu",
    "--tie", "--context", "stream", "--init", "counts", "--batch", "16", "--bptt", "64",
    "--lr", "0.003", "--l2", "0.05", "--clip", "1", "--schedule", "cosine", "--warmup", "0.03",
    "--dropout-input", "0.2", "--dropout-output", "0.2", "--word-dropout", "0.02",
    "--loss", "sampled", "--full-from", "0.4", "--self-normalize", "0.1", "--patience", "0",
)  # fmt: skip
PTB = ("ptb/ptb.train.txt", "ptb/ptb.valid.txt")
PEOPLE_DAILY = ("pku199801/words.train.txt", "pku199801/words.valid.txt")
# 10,000 types with <unk> and </s>; a line is a sentence.
PEOPLE_DAILY_TEXT = ("--max-size", "9998", "--sentences", "line")
BUDGET = "600s"
