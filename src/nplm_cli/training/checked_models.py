"""What ``nplm gradcheck`` checks: a small model of each architecture, or the model of a run.

Small models have random weights of a size at which nothing is flat and nothing is saturated, and
read random text. Every number of them is checked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from nplm_cli import events
from nplm_cli.config import ModelConfig, TrainingConfig
from nplm_cli.corpus.batches import Batch, scoring_batches, sentence_batch
from nplm_cli.corpus.shards import Part, sentences_of_ids
from nplm_cli.errors import ConfigError, did_you_mean
from nplm_cli.models import build
from nplm_cli.models.base import LanguageModel
from nplm_cli.training.gradient_check import TOLERANCE, Check, Loss, check_gradients
from nplm_cli.training.losses import FullLoss
from nplm_cli.training.sampled_losses import NceLoss, SampledLoss, sampled_loss

V, SENTENCES, LONGEST = 11, 3, 6
DEVIATION = 0.5
SMALL = {"order": 3, "dim": 4, "hidden": 5, "window": LONGEST + 1}


@dataclass(frozen=True)
class Variant:
    """Settings of a small model (``ModelConfig``), and the loss that trains it."""

    arch: str
    settings: dict[str, Any] = field(default_factory=dict)
    loss: Literal["full", "sampled", "nce"] = "full"
    self_normalize: float = 0.0


_DEEP = {"layers": 2, "residual": True, "combine": "mean", "hidden": 4}
_ADAPTIVE = {"softmax": "adaptive", "cutoffs": "4,8", "tail_division": 2.0}
VARIANTS: dict[str, Variant] = {
    "ffn": Variant("ffn"),
    "ffn-sum": Variant("ffn", {"combine": "sum"}),
    "ffn-mean": Variant("ffn", {"combine": "mean"}),
    "ffn-relu": Variant("ffn", {"activation": "relu"}),
    "ffn-sigmoid": Variant("ffn", {"activation": "sigmoid"}),
    "ffn-gelu": Variant("ffn", {"activation": "gelu", "layers": 2}),
    "ffn-log-bilinear": Variant("ffn", {"layers": 0, "tie": True}),
    "ffn-tied": Variant("ffn", {"tie": True, "hidden": 4}),
    "ffn-tied-projection": Variant("ffn", {"tie": True}),
    "ffn-residual": Variant("ffn", _DEEP),
    "ffn-gate": Variant("ffn", {"gate": True}),
    "ffn-norm-pre": Variant("ffn", {**_DEEP, "norm": "pre"}),
    "ffn-norm-post": Variant("ffn", {**_DEEP, "norm": "post"}),
    "ffn-far": Variant("ffn", {"far": 4, "kernels": 2, "averages": 1}),
    "ffn-adaptive": Variant("ffn", _ADAPTIVE),
    "ffn-adaptive-tied": Variant("ffn", {**_ADAPTIVE, "tie": True}),
    "ffn-self-normalize": Variant("ffn", self_normalize=0.1),
    "ffn-sampled": Variant("ffn", loss="sampled"),
    "ffn-nce": Variant("ffn", loss="nce"),
    "rnn": Variant("rnn"),
    "rnn-relu": Variant("rnn", {"activation": "relu", "layers": 2}),
    "rnn-sigmoid": Variant("rnn", {"activation": "sigmoid"}),
    "gru": Variant("gru"),
    "gru-2-layers": Variant("gru", {"layers": 2, "tie": True}),
    "lstm": Variant("lstm"),
    "lstm-2-layers": Variant("lstm", {"layers": 2, "tie": True}),
    "lstm-peephole-diagonal": Variant("lstm", {"peephole": "diagonal"}),
    "lstm-peephole-full": Variant("lstm", {"peephole": "full"}),
    "attention": Variant("attention", {"heads": 2, "layers": 2}),
    "attention-learned": Variant("attention", {"positions": "learned", "tie": False}),
    "attention-window": Variant("attention", {"window": 3, "stride": 1}),
    "transformer": Variant("transformer", {"heads": 2}),
    "transformer-post": Variant("transformer", {"norm": "post", "layers": 2}),
    "transformer-relu": Variant("transformer", {"norm": "none", "activation": "relu"}),
}


def chosen_variants(name: str | None) -> dict[str, Variant]:
    """All variants, those of an architecture, or the one of a name. Raises ConfigError."""
    found = {key: v for key, v in VARIANTS.items() if name in (None, key, v.arch)}
    if not found:
        archs = list(dict.fromkeys(v.arch for v in VARIANTS.values()))
        raise ConfigError(
            f"--arch {name!r:.60}: expected one of {', '.join(archs)}, or a variant such as "
            f"ffn-relu{did_you_mean(str(name), [*archs, *VARIANTS])}"
        )
    return found


def check_variants(
    variants: dict[str, Variant],
    *,
    seed: int = 1,
    tolerance: float = TOLERANCE,
    on_event: events.OnEvent = events.ignore,
) -> Iterator[Check]:
    """Check small models, one after another."""
    for name, variant in variants.items():
        model = small_random_model(variant, seed)
        batches = random_batches(seed)
        training = TrainingConfig(
            loss=variant.loss, samples=4, self_normalize=variant.self_normalize
        )
        counts_V = np.bincount(batches[0].targets_BT.clip(0).ravel(), minlength=V)
        yield _check(
            model,
            batches,
            training,
            counts_V,
            name=name,
            seed=seed,
            tolerance=tolerance,
            on_event=on_event,
        )


def small_random_model(variant: Variant, seed: int) -> LanguageModel:
    """A model of a variant; every number is normal, of the deviation ``DEVIATION``.

    Gains of layer norm are around 1.
    """
    settings = {"arch": variant.arch, **SMALL, **variant.settings}
    model = build(ModelConfig(**settings), V).double()
    generator = torch.Generator().manual_seed(seed)
    gains = {id(m.weight) for m in model.modules() if isinstance(m, nn.LayerNorm)}
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter.normal_(0, DEVIATION, generator=generator)
            if id(parameter) in gains:
                parameter.add_(1.0)
    return model


def random_batches(seed: int) -> list[Batch]:
    """Sentences of random words, of different lengths."""
    random = np.random.default_rng(seed)
    sentences = [random.integers(0, V, LONGEST - i).tolist() for i in range(SENTENCES)]
    return [sentence_batch(sentences_of_ids(sentences), np.arange(SENTENCES))]


def check_run(
    model: LanguageModel,
    part: Part,
    training: TrainingConfig,
    counts_V: np.ndarray,
    *,
    name: str,
    tokens: int = 64,
    entries: int = 20,
    seed: int = 1,
    tolerance: float = TOLERANCE,
    on_event: events.OnEvent = events.ignore,
) -> Check:
    """Check a trained model on the first ``tokens`` of a part, under the loss that trained it.

    Penalties beside the loss (``l2``, ``ar``, ``tar``), noise and the schedule of a sampled loss
    are left out. ``counts_V`` are the words' counts in the training text.
    """
    batches = [batch for batch, _ in scoring_batches(_first(part, tokens), training.context)]
    return _check(
        model,
        batches,
        training,
        counts_V,
        name=name,
        entries=entries,
        seed=seed,
        tolerance=tolerance,
        on_event=on_event,
    )


def _first(part: Part, tokens: int) -> Part:
    """The first tokens of a part; the last sentence may be cut."""
    end = min(tokens, part.predictions)
    starts = np.append(part.starts[:-1][part.starts[:-1] < end], end)
    return Part(part.ids_N[:end], starts, part.file_starts[part.file_starts < end], 0)


def _check(
    model: LanguageModel,
    batches: Sequence[Batch],
    training: TrainingConfig,
    counts_V: np.ndarray,
    *,
    seed: int,
    **more: Any,
) -> Check:
    """Check under the loss of the settings, its draws of words made alike each time."""
    model.double()
    strength = training.self_normalize
    if training.loss == "full":
        plain = self_normalised(model, strength) if strength else None
        name = "full, self-normalised" if strength else "full"
        loss = FullLoss(model, strength)
        return check_gradients(model, batches, loss, plain, seed=seed, loss_name=name, **more)
    generator = torch.Generator()

    def alike(loss: Loss) -> Loss:
        def drawn_again(hidden_ND: Tensor, targets_N: Tensor) -> Tensor:
            generator.manual_seed(seed)
            return loss(hidden_ND, targets_N)

        return drawn_again

    def lookup(weight_VD: Tensor, ids_C: Tensor) -> Tensor:
        return weight_VD.index_select(0, ids_C)

    sampled = sampled_loss(model, counts_V, training, generator, lookup)
    assert isinstance(sampled, SampledLoss | NceLoss)
    plain = alike(plain_nce(sampled)) if isinstance(sampled, NceLoss) else None
    return check_gradients(
        model, batches, alike(sampled), plain, seed=seed, loss_name=training.loss, **more
    )


def self_normalised(model: LanguageModel, strength: float) -> Loss:
    """-log p and ``strength`` times (log Z)^2, worked out plainly from all logits.

    ``FullLoss`` has the penalty in its gradients alone, not in its figure.
    """
    exact = FullLoss(model)

    def loss(hidden_ND: Tensor, targets_N: Tensor) -> Tensor:
        total = exact(hidden_ND, targets_N)
        for hidden_MD, weight_VD, bias_V, _, _ in model.softmaxes(hidden_ND, targets_N):
            logits_MV = nn.functional.linear(hidden_MD, weight_VD, bias_V)
            total = total + strength * logits_MV.logsumexp(1).pow(2).sum()
        return total

    return loss


def plain_nce(nce: NceLoss) -> Loss:
    """J of ``NceLoss``, written out: its own figure is an estimate of -log p."""

    def loss(hidden_ND: Tensor, targets_N: Tensor) -> Tensor:
        sample = nce.sampler.draw(targets_N, nce.generator)
        scores_NC = hidden_ND @ nce.model.output_weight[sample.ids_C].T
        if nce.model.output.bias is not None:
            scores_NC = scores_NC + nce.model.output.bias[sample.ids_C]
        ratio_NC = scores_NC - sample.log_pi_C - nce.log_z
        own_N = ratio_NC[torch.arange(len(targets_N)), sample.place_N]
        noise = nn.functional.softplus(ratio_NC[:, sample.drawn_C])
        return nn.functional.softplus(-own_N).sum() + noise.sum()

    return loss
