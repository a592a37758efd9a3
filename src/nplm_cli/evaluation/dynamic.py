"""Dynamic evaluation: the weights follow the text by gradient steps on what was scored already.

Krause, Kahembwe, Murray & Renals (2018). The text is read in segments; each is scored with the
weights as they are, and only then

    w  <-  w + decay (w0 - w) - lr g / (r + eps)

with g the gradient of the segment's nats / ``segment`` words, w0 the trained weights, and r the
root mean square of such gradients over the beginning of the training text (their RMS rule with
global statistics, but for the decay, which is the same for all weights). Without the training
text r is taken over the segments scored so far. Every file begins with the trained weights.

Shape suffixes: B rows, T positions, N predictions, D what the output layer reads.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nplm_cli.config import Context, DynamicConfig
from nplm_cli.corpus.batches import Batch, scoring_batches, sentence_batch
from nplm_cli.corpus.shards import Part
from nplm_cli.errors import TrainingError
from nplm_cli.evaluation.evaluator import evaluate
from nplm_cli.evaluation.significance import bounded_exp
from nplm_cli.models.base import LanguageModel

# Added to r, so that a weight that hardly ever moved makes no leap.
EPS = 5e-4
# Segments of the training text that r is taken over.
STATISTICS_SEGMENTS = 600


class DynamicModel:
    """A model whose weights follow the parts that it reads, and are its own again afterwards."""

    def __init__(
        self,
        model: LanguageModel,
        config: DynamicConfig,
        train: Part | None = None,
        *,
        context: Context = "stream",
    ):
        """``train`` is the training text, whose beginning, read under ``context``, gives r."""
        self.model, self.config = model, config
        model.eval()
        self.weights = list(model.parameters())
        self.trained = [weight.detach().clone() for weight in self.weights]
        self._forget()
        # r + eps, once and for all where the training text gave it.
        self.scales: list[Tensor] | None = None
        if train is not None and train.predictions and config.lr:
            scored = self._scored(train, context, restore=False)
            for nll_C, _ in itertools.islice(scored, STATISTICS_SEGMENTS):
                self._count(self._gradients(nll_C))
            self.scales = list(self._current_scales())

    def read(
        self,
        part: Part,
        context: Context,
        on_states: Callable[[np.ndarray], None] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        """Nats of each prediction (N,), float64, before the step of its segment.

        ``on_states`` gets what the output layer read, in the order of the text. Raises
        TrainingError when the steps lead to no numbers.
        """
        nll_N = np.zeros(part.predictions)
        done = 0
        try:
            for nll_C, hidden_CD in self._scored(part, context):
                end = done + len(nll_C)
                nll_N[done:end] = nll_C.detach().double().cpu().numpy()
                if not np.isfinite(nll_N[done:end]).all():
                    raise TrainingError(
                        f"dynamic evaluation: no number any more at word {done + 1:,} with "
                        f"{self._rate_and_cure()}"
                    )
                if on_states is not None:
                    on_states(hidden_CD.detach().cpu().numpy())
                if self.config.lr:
                    self._step(self._gradients(nll_C))
                done = end
                if on_progress is not None:
                    on_progress(done)
        finally:
            self._restore()
        return nll_N

    def check(self, part: Part, context: Context, nll_N: np.ndarray) -> None:
        """Raise TrainingError where the nats of ``read`` are those of weights that ran away.

        They are if equal probabilities for all words would be better, and so would the model
        that stands still, which is asked only then.
        """
        nats = float(nll_N.mean()) if len(nll_N) else 0.0
        if not self.config.lr or nats <= math.log(len(self.model.embedding.weight)):
            return
        plain = float(evaluate(self.model, part, context).mean())
        if nats > plain:
            found, still = (f"{bounded_exp(value):.4g}" for value in (nats, plain))
            raise TrainingError(
                f"dynamic evaluation: perplexity {found}, {still} with the weights left alone: "
                f"they ran away with {self._rate_and_cure()}"
            )

    def _rate_and_cure(self) -> str:
        rate = self.config.lr
        lower = DynamicConfig.lr if rate > DynamicConfig.lr else rate / 10
        return f"--dynamic-lr {rate:g}: take a lower one, such as {lower:g}"

    def _scored(
        self, part: Part, context: Context, *, restore: bool = True
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Nats (C,) and hidden states (C, D) of each segment, with their graph."""
        model, state = self.model, None
        device = model.embedding.weight.device
        for batch, begins_file in segments(part, context, self.config.segment):
            if begins_file and restore:
                self._restore()
            state = model.carried_state(state, torch.from_numpy(batch.fresh_B).to(device))
            hidden_BTD, after = model(torch.from_numpy(batch.ids_BT).to(device), state)
            state = tuple(piece.detach() for piece in after)
            counted_BT = torch.from_numpy(batch.targets_BT >= 0).to(device)
            hidden_CD = hidden_BTD[counted_BT]
            targets_C = torch.from_numpy(batch.targets_BT).to(device)[counted_BT]
            yield _nll(model, hidden_CD, targets_C), hidden_CD

    def _gradients(self, nll_C: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(
            nll_C.sum() / self.config.segment,
            self.weights,
            allow_unused=True,
            materialize_grads=True,
        )

    def _forget(self) -> None:
        self.squares = [torch.zeros_like(weight) for weight in self.weights]
        self.segments = 0

    @torch.no_grad()
    def _count(self, gradients: Sequence[Tensor]) -> None:
        self.segments += 1
        for square, gradient in zip(self.squares, gradients, strict=True):
            square.addcmul_(gradient, gradient)

    def _current_scales(self) -> Iterator[Tensor]:
        for square in self.squares:
            yield (square / self.segments).sqrt_().add_(EPS)

    @torch.no_grad()
    def _step(self, gradients: Sequence[Tensor]) -> None:
        if self.scales is None:
            self._count(gradients)
        scales = self.scales or self._current_scales()
        for weight, trained, gradient, scale in zip(
            self.weights, self.trained, gradients, scales, strict=True
        ):
            weight.lerp_(trained, self.config.decay)
            weight.addcdiv_(gradient, scale, value=-self.config.lr)

    @torch.no_grad()
    def _restore(self) -> None:
        for weight, trained in zip(self.weights, self.trained, strict=True):
            weight.copy_(trained)
        if self.scales is None:
            self._forget()


def _nll(model: LanguageModel, hidden_CD: Tensor, targets_C: Tensor) -> Tensor:
    """Nats (C,) with their graph, of one softmax or of several that add up."""
    total_C = hidden_CD.new_zeros(len(targets_C))
    for choice in model.softmaxes(hidden_CD, targets_C):
        logits_MV = nn.functional.linear(choice.hidden_MD, choice.weight_VD, choice.bias_V)
        nll_M = nn.functional.cross_entropy(logits_MV, choice.targets_M, reduction="none")
        rows_M = choice.rows_M
        total_C = nll_M if rows_M is None else total_C.index_add(0, rows_M, nll_M)
    return total_C


def segments(part: Part, context: Context, size: int) -> Iterator[tuple[Batch, bool]]:
    """Batches in the order of the text, and whether a file begins with it.

    Of a stream ``size`` tokens; otherwise as many whole sentences as it takes to have ``size``.
    """
    if context == "stream":
        for batch, _ in scoring_batches(part, context, size):
            yield batch, bool(batch.fresh_B.all())
        return
    files = np.append(np.searchsorted(part.starts, part.file_starts), part.sentences)
    for start, end in itertools.pairwise(files.tolist()):
        first = start
        while first < end:
            enough = int(np.searchsorted(part.starts, part.starts[first] + size))
            last = min(enough, end)
            yield sentence_batch(part, np.arange(first, last)), first == start
            first = last
