"""Every setting of nplm: one frozen dataclass a stage, the only place where a default stands.

A field carries its own help text and bounds, and the command line is built from the fields
(``nplm_cli.cli.options``), so an option cannot exist without a setting nor a setting without an
option. The dataclasses go to JSON and back; an unknown key is an error that offers the nearest
known name.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.errors import ConfigError, did_you_mean
from nplm_cli.settings import Section, option

# Does each sentence stand on its own, or does the context run on over </s>?
Context = Literal["sentence", "stream"]


@dataclass(frozen=True)
class CorpusConfig(Section):
    """How bytes become sentences of tokens."""

    lang: Literal["auto", "zh", "en", "char"] = option(
        "auto", "Words of raw text: Chinese (jieba), English (rules) or single characters."
    )
    format: Literal["auto", "raw", "segmented", "pku"] = option(
        "auto", "Raw text, words separated by spaces, or People's Daily word/tag markup."
    )
    encoding: str = option(
        "auto", "Encoding of the input; auto tries UTF-8, then GB18030.", metavar="NAME"
    )
    sentences: Literal["auto", "line", "split"] = option(
        "auto",
        "A line is a sentence, or split after 。！？ and . ! ? "
        "(auto: line for segmented text, split for raw and pku).",
    )
    blank_lines: Literal["skip", "keep"] = option(
        "skip", "Skip blank lines, or make each one an empty sentence."
    )
    compounds: Literal["open", "join"] = option(
        "open", "Of [word/tag word/tag]tag: the inner words, or one joined word."
    )
    keep_pos: bool = option(False, "Keep the part-of-speech tag: word/tag is the token.")
    lowercase: bool = option(False, "Lower-case all letters.")
    fold_width: bool = option(
        True, "Full-width digits and letters become ASCII ones; punctuation stays."
    )


@dataclass(frozen=True)
class SplitConfig(Section):
    """Which documents train, validate and test."""

    split_by: Literal["hash", "order", "none"] = option(
        "hash",
        "Assign documents by a hash of their text, by file order, or train on everything.",
    )
    valid_share: float = option(0.05, "Share of documents for validation.", low=0, below=1)
    test_share: float = option(0.05, "Share of documents for the test.", low=0, below=1)

    def __post_init__(self) -> None:
        """Also check that something is left to train on."""
        super().__post_init__()
        if self.valid_share + self.test_share >= 1:
            raise ConfigError(
                f"--valid-share {self.valid_share} and --test-share {self.test_share}: "
                "nothing is left to train on"
            )


@dataclass(frozen=True)
class VocabularyConfig(Section):
    """Which words the model knows; the rest is <unk>."""

    max_size: int | None = option(
        None,
        "Keep the V most frequent words, the two specials not counted "
        "(20000 unless --min-count is given).",
        low=1,
    )
    min_count: int | None = option(
        None, "Keep words seen at least this often (1: all words).", low=1
    )
    vocab: str | None = option(
        None, "Use the words of this vocabulary.tsv instead of counting.", metavar="FILE"
    )

    def __post_init__(self) -> None:
        """Also refuse a vocabulary file together with a cut."""
        super().__post_init__()
        if self.vocab is not None and not (self.max_size is None and self.min_count is None):
            raise ConfigError("--vocab excludes --max-size and --min-count: the file is the cut")


DEFAULT_MAX_SIZE = 20_000


@dataclass(frozen=True)
class ModelConfig(Section):
    """The shape of a model and its first weights.

    Settings that are None take the default of the architecture in ``resolved``.
    """

    arch: Literal["ffn", "rnn", "gru", "lstm", "attention", "transformer", "ngram"] = option(
        "ffn",
        "Architecture: feedforward window model, recurrent (simple, GRU, LSTM), self-attention, "
        "Transformer, or n-gram counts.",
    )
    order: int = option(5, "Of ffn and ngram: order n sees n-1 words.", low=1, high=512)
    combine: Literal["concat", "sum", "mean"] = option(
        "concat", "Of ffn: how the vectors of the context words become one."
    )
    far: int = option(
        0,
        "Of ffn: so many words before the window are seen, too, through --kernels and --averages.",
        low=0,
        high=8192,
    )
    kernels: int = option(
        0,
        "Of ffn --far: learned position kernels, each a weighted sum of the far words.",
        low=0,
        high=64,
    )
    averages: int = option(
        0,
        "Of ffn --far: decaying averages of the far words, weighted by learned importance.",
        low=0,
        high=64,
    )
    dim: int = option(128, "Dimension of the word vectors.", low=1, high=65_536)
    hidden: int = option(
        256,
        "Units of a hidden layer (recurrent: of the state; transformer: of the feedforward block).",
        low=1,
        high=65_536,
    )
    layers: int = option(
        1, "Number of hidden layers or blocks (of ffn 0: log-bilinear).", low=0, high=64
    )
    activation: Literal["tanh", "relu", "sigmoid", "gelu"] | None = option(
        None, "Activation of ffn and rnn (tanh unless given) and of the transformer (gelu)."
    )
    residual: bool = option(False, "Of ffn: add the input of each hidden layer to its output.")
    gate: bool = option(False, "Of ffn: a sigmoid gate on each hidden layer.")
    norm: Literal["none", "pre", "post"] | None = option(
        None,
        "Layer norm of ffn (none unless given) and transformer (pre): before or after a layer.",
    )
    norm_eps: float = option(1e-5, "Added to the variance in layer norm.", low=0)
    peephole: Literal["none", "diagonal", "full"] = option(
        "none", "Of lstm: gates see the cell (Gers & Schmidhuber 2000), each unit its own or all."
    )
    heads: int | None = option(
        None,
        "Attention heads (attention 1, transformer 4, 2 or 1 unless given); divide --dim.",
        low=1,
        high=256,
    )
    positions: Literal["learned", "sinusoidal", "none"] | None = option(
        None, "Positions (attention sinusoidal, transformer learned unless given)."
    )
    window: int = option(
        128, "Of attention and transformer: words that a prediction sees.", low=1, high=65_536
    )
    stride: int | None = option(
        None,
        "Of attention and transformer: when the window is full it moves on by so many words "
        "(half a window unless given; in training always a whole one).",
        low=1,
    )
    tie: bool | None = option(
        None,
        "Output layer shares the word vectors, through a projection if sizes differ "
        "(attention tied, the others not, unless given).",
    )
    output_bias: bool = option(True, "A bias for each word in the output layer.")
    hidden_bias: bool = option(True, "Biases in the hidden layers.")
    init: Literal["small", "uniform01", "gaussian01", "zero"] = option(
        "small",
        "First weights: small and random around 0; uniform in 0..1; gaussian in 0..1 "
        "(mean 0.5, clipped); all zero.",
    )
    init_scale: float = option(1.0, "Factor on the first weights.", above=0)
    vectors: str | None = option(
        None, "Start from these word vectors (word2vec, GloVe, npy or safetensors).", metavar="FILE"
    )
    freeze_vectors: bool = option(False, "Do not train the word vectors.", no="tune-vectors")
    smoothing: Literal["kn", "mle", "addk"] = option(
        "kn",
        "Of --arch ngram: interpolated modified Kneser-Ney, relative frequencies, or add-k.",
    )
    k: float = option(1.0, "Of --smoothing addk: what is added to each count.", above=0)

    def __post_init__(self) -> None:
        """Also check what depends on two settings."""
        super().__post_init__()
        if self.arch == "ffn" and self.order < 2:
            raise ConfigError(
                f"--order {self.order} sees no word: expected at least 2 "
                "(or --arch ngram for a unigram model)"
            )
        if self.arch not in ("ffn", "ngram") and self.layers < 1:
            raise ConfigError(f"--layers {self.layers}: --arch {self.arch} has at least one")
        own = ARCHITECTURES[self.arch].settings
        if "far" in own and self.far and not (self.kernels or self.averages):
            raise ConfigError(f"--far {self.far} needs --kernels or --averages to see the words")
        if "heads" in own and self.heads is not None and self.dim % self.heads:
            raise ConfigError(
                f"--heads {self.heads} does not divide --dim {self.dim}: expected a divisor"
            )
        if "stride" in own and self.stride is not None and self.stride > self.window:
            raise ConfigError(f"--stride {self.stride}: expected at most --window ({self.window})")

    @property
    def neural(self) -> bool:
        """Whether a network is trained."""
        return ARCHITECTURES[self.arch].neural

    @property
    def context(self) -> int | None:
        """How many previous tokens a prediction can see; None when unbounded."""
        return ARCHITECTURES[self.arch].context(self)

    def seen(self, read: int) -> int:
        """How many tokens the prediction after ``read`` tokens of a sentence or file sees."""
        if self.context is None or read <= self.context:
            return read
        if "stride" not in ARCHITECTURES[self.arch].settings:
            return self.context
        stride = self.stride or self.defaults()["stride"]
        return int(self.window - stride + 1 + (read - self.window - 1) % stride)

    def defaults(self) -> dict[str, Any]:
        """Values that the architecture gives to settings which are None."""
        return {
            name: default(self) if callable(default) else default
            for name, default in ARCHITECTURES[self.arch].defaults.items()
        }

    def resolved(self) -> Self:
        """Fill in what is None by the architecture's defaults."""
        open_ones = {k: v for k, v in self.defaults().items() if getattr(self, k) is None}
        return dataclasses.replace(self, **open_ones) if open_ones else self


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
        None, "Wall-clock time instead of --epochs: 90s, 10m, 2h.", metavar="TIME"
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


@dataclass(frozen=True)
class Config(Section):
    """All stages together: what ``config.json`` holds and ``--config`` replays."""

    corpus: CorpusConfig = dataclasses.field(default_factory=CorpusConfig)
    split: SplitConfig = dataclasses.field(default_factory=SplitConfig)
    vocabulary: VocabularyConfig = dataclasses.field(default_factory=VocabularyConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)

    @classmethod
    def from_json(cls, values: object, where: str) -> Self:
        """Build all sections; unknown sections and keys are refused."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where}: expected an object with settings, found {values!r:.40}")
        sections = SECTIONS
        for key in values:
            if key not in sections:
                raise ConfigError(f"{where}: unknown key {key!r}{did_you_mean(str(key), sections)}")
        built: dict[str, Any] = {
            name: section.from_json(values[name], f"{where}: {name}")
            for name, section in sections.items()
            if name in values
        }
        return cls(**built)

    def replace(self, **changes: Any) -> "Config":
        """Copy with single settings changed, whatever section they stand in."""
        sections: dict[str, Section] = {}
        for name, section in SECTIONS.items():
            fields = {field.name for field in dataclasses.fields(section)}  # type: ignore[arg-type]
            mine = {key: changes.pop(key) for key in list(changes) if key in fields}
            old: Any = getattr(self, name)
            sections[name] = dataclasses.replace(old, **mine) if mine else old
        if changes:
            raise ConfigError(f"unknown setting {next(iter(changes))!r}")
        return dataclasses.replace(self, **sections)  # type: ignore[arg-type]


SECTIONS: dict[str, type[Section]] = {
    "corpus": CorpusConfig,
    "split": SplitConfig,
    "vocabulary": VocabularyConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
}

# Named bundles of settings; an option given beside a preset wins.
PRESETS: dict[str, dict[str, Any]] = {
    "homework": {"max_size": 1000, "dim": 10, "hidden": 128, "layers": 1, "lr": 0.005},
}
