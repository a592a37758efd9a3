"""Settings of a training."""

from dataclasses import dataclass
from typing import Literal

from nplm_cli.config.section import Section, option
from nplm_cli.errors import ConfigError

# Does each sentence stand on its own, or does the context run on over </s>?
Context = Literal["sentence", "stream"]


@dataclass(frozen=True)
class DropoutRates:
    """Shares that are set to 0 in training, each at its place (models/regularisation.py)."""

    input: float = 0.0
    hidden: float = 0.0
    output: float = 0.0
    embedding: float = 0.0
    word: float = 0.0
    weight: float = 0.0
    locked: bool = False


@dataclass(frozen=True)
class TrainingConfig(Section):
    """How the weights are found."""

    context: Context = option(
        "sentence",
        "Each sentence on its own, or each file as one text whose context runs on over </s>.",
    )
    optimizer: Literal["sgd", "momentum", "adam", "adamw", "rmsprop", "adagrad"] = option(
        "adamw", "Optimiser."
    )
    lr: float | None = option(
        None,
        "Learning rate (adam and adamw 0.002, rmsprop 0.001, adagrad 0.05, sgd 0.5, "
        "momentum 0.05 unless given).",
        above=0,
    )
    momentum: float = option(0.9, "Momentum of --optimizer momentum.", low=0, below=1)
    l2: float = option(
        0.0,
        "Weight of the L2 penalty (l2/2)|W|^2 on all weight matrices, word vectors included, "
        "biases not (adamw: decoupled decay).",
        low=0,
    )
    dropout: float = option(
        0.0,
        "Share set to 0 of the word vectors, of each hidden layer and of what the output layer "
        "reads, unless the next three say otherwise.",
        low=0,
        below=1,
    )
    dropout_input: float | None = option(None, "Dropout on the word vectors.", low=0, below=1)
    dropout_hidden: float | None = option(
        None, "Dropout between hidden layers or blocks.", low=0, below=1
    )
    dropout_output: float | None = option(
        None, "Dropout on what the output layer reads.", low=0, below=1
    )
    dropout_embedding: float = option(
        0.0,
        "Share of word types whose vector is 0 for a batch (Gal & Ghahramani 2016).",
        low=0,
        below=1,
    )
    word_dropout: float = option(
        0.0, "Share of words read as <unk> (Bowman et al. 2016).", low=0, below=1
    )
    weight_drop: float = option(
        0.0,
        "Of rnn, gru, lstm: share of recurrent weights set to 0 for a batch (Merity et al. 2018).",
        low=0,
        below=1,
    )
    locked_dropout: bool = option(
        False, "One dropout mask for all positions of a row instead of one each."
    )
    ar: float = option(
        0.0, "Activation regularisation: weight of the mean square of the states.", low=0
    )
    tar: float = option(
        0.0,
        "Temporal activation regularisation: weight of the mean square of their changes.",
        low=0,
    )
    dropout_ramp: float = option(
        0.0,
        "Share of the training over which all dropout rises, from a fifth of its strength.",
        low=0,
        high=1,
    )
    loss: Literal["full", "sampled", "nce"] = option(
        "full",
        "Softmax over the whole vocabulary; or, for large ones, over a sample of it, or telling "
        "the words from a sample (noise-contrastive estimation).",
    )
    samples: int = option(
        1024, "Of --loss sampled and nce: words drawn a step besides the targets.", low=1
    )
    full_from: float = option(
        1.0,
        "Of --loss sampled and nce: share of the training after which the softmax is full.",
        low=0,
        high=1,
    )
    self_normalize: float = option(
        0.0,
        "Add so many times the mean of (log Z)^2 to the loss of the full softmax, so that scores "
        "are near log-probabilities as they stand (Devlin et al. 2014; nplm compile).",
        low=0,
        metavar="X",
    )
    average: Literal["none", "ema", "tail"] = option(
        "none",
        "Evaluate and keep averaged weights: exponentially decaying, or the mean since "
        "--average-from.",
    )
    average_decay: float = option(0.999, "Of --average ema: decay a step.", above=0, below=1)
    average_from: float = option(
        0.5, "Of --average tail: share of the training after which it begins.", low=0, below=1
    )
    batch: int = option(
        32,
        "Sentences a step (stream: parallel strips). 1 is a single sample, 0 the full batch.",
        low=0,
    )
    bptt: int = option(32, "Of --context stream: tokens of each strip a step.", low=1)
    clip: float | None = option(5.0, "Largest norm of the gradient (0: no clipping).", low=0)
    schedule: Literal["constant", "linear", "cosine", "plateau"] = option(
        "linear",
        "Learning rate over time: constant, falling to 0 on a line or half cosine, or halved "
        "when validation stops improving.",
    )
    warmup: float = option(
        0.02, "Share of the training over which the rate rises from 0.", low=0, below=1
    )
    epochs: int | None = option(
        None, "Passes over the training part (10 unless --steps or --budget).", low=1
    )
    steps: int | None = option(None, "Updates of the weights instead of --epochs.", low=1)
    budget: str | None = option(
        None,
        "Wall-clock time instead of --epochs: 90s, 10m, 2h. nplm train then chooses sizes, rates "
        "and noise that are not given (docs/training.md).",
        metavar="TIME",
    )
    patience: int = option(
        2, "Stop after this many evaluations without improvement (0: never).", low=0
    )
    stop_on: Literal["valid", "train"] = option(
        "valid", "Which loss has to improve for --patience and for the best weights."
    )
    tolerance: float = option(0.0, "Improvement in nats that counts for --patience.", low=0)
    eval_every: int | None = option(
        None, "Evaluate every so many steps (default: once an epoch).", low=1
    )
    checkpoint_every: float = option(
        60.0, "Seconds between checkpoints, besides one at each evaluation.", low=0
    )
    seed: int = option(1, "Seed of all random numbers.", low=0, high=2**63 - 1)
    device: str = option("auto", "cpu, cuda, cuda:1 ...; auto takes a GPU if there is one.")
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto",
        "Number format of the training's products: auto takes bf16 where the processor or GPU has "
        "it and the model is large enough; evaluation is in fp32.",
    )
    threads: int | None = option(
        None, "CPU threads (default: the cores this process may use).", low=1
    )
    baseline_order: int = option(
        3, "Order of the Kneser-Ney baseline in the report.", low=1, high=12
    )

    def __post_init__(self) -> None:
        """Also refuse two lengths at once."""
        super().__post_init__()
        lengths = [n for n in ("epochs", "steps", "budget") if getattr(self, n) is not None]
        if len(lengths) > 1:
            given = " and ".join(f"--{n}" for n in lengths)
            raise ConfigError(f"{given}: choose one length for the training")
        if self.budget is not None:
            budget_seconds(self.budget)

    @property
    def dropout_rates(self) -> DropoutRates:
        """What the model drops, and where."""

        def rate(own: float | None) -> float:
            return self.dropout if own is None else own

        return DropoutRates(
            input=rate(self.dropout_input),
            hidden=rate(self.dropout_hidden),
            output=rate(self.dropout_output),
            embedding=self.dropout_embedding,
            word=self.word_dropout,
            weight=self.weight_drop,
            locked=self.locked_dropout,
        )


DEFAULT_EPOCHS = 10
DEFAULT_LR = {
    "adam": 0.002,
    "adamw": 0.002,
    "rmsprop": 0.001,
    "adagrad": 0.05,
    "sgd": 0.5,
    "momentum": 0.05,
}


def budget_seconds(text: str) -> float:
    """Seconds of ``90``, ``90s``, ``10m`` or ``2h``; raises ConfigError otherwise."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise ConfigError(f"--budget {text!r}: expected a time such as 90s, 10m or 2h")
    return seconds
