"""Sizes and rates for a time budget: what a user need not know to get a good model in ten minutes.

The rules go from what is known before the training: seconds, cores, number format, vocabulary and
training tokens. They are fitted to trainings of one to sixty minutes on 0.9 and 1.1 million tokens
of English and Chinese news (docs/results.md) and written so that they stay sensible elsewhere:

width     the largest one of ``WIDTHS`` that the time lets see ``TOKENS_A_SQUARE`` h^2 tokens, and
          whose square the text has tokens for: more units than that are learned by heart
noise     dropout grows with the square root of the passes over the text after the first: none for
          one pass, the whole of ``NOISE`` from ``NOISY_PASSES`` on, and more of it in a text of
          less than ``USUAL_TOKENS``, by the fourth root; it rises in the first part of the
          training, at most ``RISING_PASSES``, as more of them learn by heart
rate      falls with the square root of the width, as the updates of wider layers add up
first     word vectors and output biases are counted in the text (``--init counts``)
softmax   over a sample of the words for the first part of the time, then over all of them; large
          vocabularies are trained on samples throughout
patience  none, as the rate falls with the time: before it has fallen, no loss says that all is over

Only what the user did not choose is chosen; one choice of a kind (a width, a dropout) leaves all
of its kind to the user.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from nplm_cli.architectures import ARCHITECTURES, SPECIAL_SETTINGS
from nplm_cli.config import Config, Context, ModelConfig, budget_seconds

WIDTHS = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
TOKENS_A_SQUARE = 14
# Floating-point operations a second of one core's whole training step, and of a GPU's.
RATES = {
    ("cpu", "bf16"): 130e9,
    ("cpu", "fp32"): 60e9,
    ("cuda", "bf16"): 40e12,
    ("cuda", "fp32"): 8e12,
}
# What each further core adds; more than ``MOST_CORES`` find nothing to do in a step.
SECOND_CORE, MOST_CORES = 0.8, 8
# Share of the time that is not spent in training steps.
OVERHEAD = 0.05
NOISY_PASSES, RISING_PASSES = 10, 6
# The rates below are those of the two texts, of 930,000 and more tokens.
USUAL_TOKENS, MOST_DROPOUT = 900_000, 0.75
# Vocabularies up to this size finish on the full softmax.
FULL_SOFTMAX = 30_000
SAMPLES = 1024
# Words that the targets of a step add to its samples; words scored a token by an adaptive softmax,
# in sizes of its head.
TARGETS, ADAPTIVE_WORDS = 500, 2
# Share of the time in which the softmax is one over samples and dropout may rise; weight decay.
RISING_SHARE, DECAY = {"ffn": 0.5}, {"ffn": 0.05}
USUAL_SHARE, USUAL_DECAY = 0.7, 0.02
TOKENS_A_STEP = {"cpu": 960, "cuda": 3840}
LSTM_NOISE = {
    "dropout_embedding": 0.15,
    "dropout_input": 0.35,
    "dropout_output": 0.65,
    "weight_drop": 0.35,
}
FFN_NOISE = {
    "dropout_input": 0.35,
    "dropout_hidden": 0.35,
    "dropout_output": 0.7,
    "dropout_embedding": 0.18,
    "word_dropout": 0.04,
}
ATTENTION = ("attention", "transformer")
TRANSFORMER_NOISE = {"dropout": 0.2, "dropout_embedding": 0.1}
NOISE = {"lstm": LSTM_NOISE, "gru": LSTM_NOISE, "rnn": LSTM_NOISE, "ffn": FFN_NOISE}
# A user who chooses one setting of a kind chooses the kind.
KINDS = (
    {"dim", "hidden", "layers", "tie", "heads", "order", "far", "kernels", "averages", "gate"}
    | {"residual", "norm", "activation", "combine", "vectors"},
    {"dropout", "dropout_input", "dropout_hidden", "dropout_output", "dropout_embedding"}
    | {"word_dropout", "weight_drop", "dropout_ramp", "locked_dropout"},
    {"lr", "optimizer"},
    {"batch", "bptt"},
    {"loss", "samples", "full_from", "softmax", "cutoffs", "tail_division"},
    {"schedule", "warmup"},
    {"patience", "tolerance"},
    {"init", "vectors"},
    {"clip"},
    {"l2"},
)


def sized(
    config: Config, given: Collection[str], *, vocabulary: int, tokens: int, sentences: int,
    cores: int, device: str, precision: Callable[[Mapping[str, Any]], str], elapsed: float = 0.0,
) -> tuple[Config, dict[str, Any]]:  # fmt: skip
    """Return the settings for ``config.training.budget``, and those of them that were chosen here.

    ``given`` are names of settings that the user chose; ``precision`` says in which number format
    a model of some settings computes, ``elapsed`` how many seconds of the budget are over.
    """
    training, model = config.training, config.model
    if training.budget is None or not model.neural:
        return config, {}
    seconds = max(1.0, budget_seconds(training.budget) - elapsed) * (1 - OVERHEAD)
    helping = min(cores, MOST_CORES) - 1 if device == "cpu" else 0
    processor_seconds = seconds * (1 + SECOND_CORE * helping)
    softmax = _softmax(model.arch, vocabulary)
    if training.self_normalize and softmax.get("full_from") == 1:
        softmax = {"loss": "full"}  # which alone sees Z
    chosen_softmax = config if KINDS[4] & set(given) else config.replace(**softmax)
    scored = _words_scored(chosen_softmax, vocabulary)

    def tokens_trained(shape: Mapping[str, Any]) -> float:
        rate = RATES.get((device, precision(shape)), RATES["cpu", "fp32"])
        return processor_seconds * rate / _operations(model.arch, shape, scored)

    fits = [
        width
        for width in WIDTHS
        if width * width <= tokens
        and tokens_trained(_shape(model.arch, width, "stream")) >= TOKENS_A_SQUARE * width * width
    ]
    proposed = _shape(model.arch, max(fits, default=WIDTHS[0]), training.context)
    shape = _shape_of(model) if KINDS[0] & set(given) else proposed
    passes = tokens_trained(shape) / tokens
    proposed |= _noise(model.arch, passes, tokens)
    narrow = model.arch in ATTENTION or not shape["layers"]
    width = shape["dim"] if narrow else shape["hidden"]
    proposed |= _steps(model.arch, width, training.context, tokens / max(sentences, 1), device)
    proposed |= {**softmax, "init": "counts"}
    if not KINDS[5] & set(given):
        proposed["patience"] = 0
    idle = SPECIAL_SETTINGS - ARCHITECTURES[model.arch].settings
    if training.context == "sentence":
        idle |= {"bptt"}
    proposed = {name: value for name, value in proposed.items() if name not in idle}
    for kind in KINDS:
        if kind & set(given):
            proposed = {name: value for name, value in proposed.items() if name not in kind}
    if proposed.get("optimizer", training.optimizer) != "adamw":
        proposed.pop("l2", None)  # beside other optimisers it would be part of the gradient
    return config.replace(**proposed), proposed


def _shape(arch: str, width: int, context: Context) -> dict[str, Any]:
    """The architecture of a width: word vectors of half its size, tied to the output."""
    shape: dict[str, Any] = {"hidden": width, "dim": max(16, width // 2), "layers": 1, "tie": True}
    if arch == "ffn":
        far = 48 if context == "stream" else 24
        shape |= {"dim": max(16, width * 2 // 3 // 8 * 8), "layers": 2, "order": 6, "far": far}
        shape |= {"averages": 4, "gate": True, "residual": True, "norm": "pre"}
    elif arch in ATTENTION:
        shape |= {"hidden": 2 * width, "dim": width, "layers": 3 if width < 256 else 4}
    return shape


def _shape_of(model: ModelConfig) -> dict[str, Any]:
    """The architecture that a user has chosen, as ``_shape`` gives it."""
    model = model.resolved()
    names = ("hidden", "dim", "layers", "tie", "order", "combine", "far", "kernels", "averages")
    return {name: getattr(model, name) for name in (*names, "gate")}


def _words_scored(config: Config, vocabulary: int) -> float:
    """Words that the softmax of a training goes over, in the mean of its whole time."""
    training, model = config.training, config.model
    share = 0.0 if training.loss == "full" else training.full_from
    whole = vocabulary
    if model.softmax == "adaptive":  # the head, and of the tail what its frequency asks for
        whole = min(vocabulary, ADAPTIVE_WORDS * model.softmax_bounds(vocabulary)[0])
    return share * min(training.samples + TARGETS, vocabulary) + (1 - share) * whole


def _operations(arch: str, shape: Mapping[str, Any], words: float) -> float:
    """Floating-point operations of training on one token: six a multiplied weight.

    ``words`` are those that the softmax goes over.
    """
    hidden, dim, layers = shape["hidden"], shape["dim"], shape["layers"]
    read = dim if arch in ATTENTION else hidden  # by the output layer
    match arch:
        case "ffn":
            near = shape["order"] - 1 if shape.get("combine", "concat") == "concat" else 1
            far = shape.get("kernels", 0) + shape["averages"] if shape["far"] else 0
            inner = (near + far) * dim * hidden + (layers - 1) * hidden * hidden
            inner *= 2 if shape["gate"] else 1
            if not layers:
                read, inner = (near + far) * dim, 0
        case "attention":
            inner = layers * 4 * dim * dim
        case "transformer":
            inner = layers * (4 * dim * dim + 2 * dim * hidden)
        case _:
            gates = {"lstm": 4, "gru": 3}.get(arch, 1)
            inner = gates * hidden * (dim + hidden + 2 * (layers - 1) * hidden)
    if shape["tie"]:
        return 6.0 * (inner + (read * dim if read != dim else 0) + words * dim)
    return 6.0 * (inner + words * read)


def _noise(arch: str, passes: float, tokens: int) -> dict[str, Any]:
    """Dropout for so many passes over a text of so many tokens."""
    strength = min(1.0, (max(0.0, passes - 1) / (NOISY_PASSES - 1)) ** 0.5)
    strength *= max(1.0, (USUAL_TOKENS / tokens) ** 0.25)
    rates = NOISE.get(arch, TRANSFORMER_NOISE).items()
    noise: dict[str, Any] = {
        name: round(min(share * strength, MOST_DROPOUT), 2) for name, share in rates
    }
    rising = min(_rising(arch), RISING_PASSES / max(passes, 1))
    noise["dropout_ramp"] = round(rising, 2) if strength else 0.0
    if arch in ("rnn", "gru", "lstm") and strength:
        noise["locked_dropout"] = True
    return noise


def _steps(
    arch: str, width: int, context: Context, sentence_tokens: float, device: str
) -> dict[str, Any]:
    """How much text a step reads, and how far it goes."""
    bptt = 64 if arch == "ffn" else 48
    rows = TOKENS_A_STEP[device] / (bptt if context == "stream" else sentence_tokens + 1)
    base = 0.002 if arch in ATTENTION else {"ffn": 0.0017}.get(arch, 0.004)
    return {
        "batch": max(4, round(rows)),
        "bptt": bptt,
        "optimizer": "adamw",
        "lr": round(base * min(2.0, (512 / width) ** 0.5), 5),
        "clip": 0.5 if arch in ("rnn", "gru", "lstm") else 1.0,
        "l2": DECAY.get(arch, USUAL_DECAY),
        "schedule": "cosine",
        "warmup": 0.03,
    }


def _rising(arch: str) -> float:
    return RISING_SHARE.get(arch, USUAL_SHARE)


def _softmax(arch: str, vocabulary: int) -> dict[str, Any]:
    """Over which words the softmax goes in training."""
    if vocabulary < 4 * SAMPLES:
        return {"loss": "full"}
    full_from = _rising(arch) if vocabulary <= FULL_SOFTMAX else 1.0
    return {"loss": "sampled", "samples": SAMPLES, "full_from": full_from}
