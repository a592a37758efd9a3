"""How exact: gradients against finite differences, and scores in whatever company.

Prints, for every architecture, the largest relative error of autograd's gradient in float64
(central differences, 60 weights of each tensor of a small model), the largest difference of a
prediction between numpy and torch, and the largest difference of a sentence's log-probability alone
and in a batch of 64 beside a sentence of 5,000 words, in two orders. Random weights, seed 1.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from machine import describe, table

from nplm_cli.artifacts import TensorFile
from nplm_cli.config import ModelConfig
from nplm_cli.corpus.shards import Part
from nplm_cli.evaluation.evaluator import evaluate
from nplm_cli.models import build
from nplm_cli.query.scorer import NeuralScorer
from nplm_cli.training.checkpoints import save_weights
from nplm_cli.training.losses import OutputLoss

V = 200
SETTINGS: dict[str, dict] = {
    "ffn": {},
    "ffn far, gated": {"far": 6, "kernels": 2, "averages": 2, "gate": True, "norm": "pre"},
    "rnn": {},
    "rnn sigmoid (written out)": {"activation": "sigmoid"},
    "gru": {},
    "lstm": {},
    "lstm diagonal peephole (written out)": {"peephole": "diagonal"},
    "lstm full peephole (written out)": {"peephole": "full"},
    "attention": {"window": 12, "stride": 4},
    "transformer": {"window": 12, "stride": 4, "layers": 2},
}
STEP = 1e-6


def made(name: str, size: int) -> torch.nn.Module:
    """A model with random weights, biases too."""
    settings = {"arch": name.split()[0], "dim": size, "hidden": size + 2, **SETTINGS[name]}
    model = build(ModelConfig(**settings), V)
    generator = torch.Generator().manual_seed(1)
    model.init_weights(generator)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.normal_(0, 0.3, generator=generator)
    return model.eval()


def gradient_error(name: str) -> float:
    """Largest |autograd - finite difference| / (largest gradient of the tensor), float64."""
    model = made(name, 4).double()
    random = np.random.default_rng(1)
    ids, targets = (torch.from_numpy(random.integers(0, V, (1, 9))) for _ in range(2))

    def loss() -> torch.Tensor:
        hidden, _ = model(ids, model.initial_state(1))
        return OutputLoss()(hidden[0], model.output_weight, model.output.bias, targets[0])

    loss().backward()
    worst = 0.0
    for parameter in model.parameters():
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        scale = float(gradient.abs().max())
        chosen = random.permutation(len(flat))[:60]
        for i in chosen.tolist():
            kept = float(flat[i])
            values = []
            for step in (STEP, -STEP):
                flat[i] = kept + step
                with torch.no_grad():
                    values.append(float(loss()))
            flat[i] = kept
            difference = (values[0] - values[1]) / (2 * STEP)
            worst = max(worst, abs(difference - float(gradient[i])) / max(scale, 1e-8))
    return worst


def part_of(sentences: list[list[int]]) -> Part:
    """Sentences of ids as one file."""
    starts = np.cumsum([0, *(len(s) + 1 for s in sentences)])
    ids = np.concatenate([[*s, 1] for s in sentences]).astype(np.uint16)
    return Part(ids, starts, np.array([0]), 0)


def score_differences(name: str, folder: Path) -> tuple[float, float]:
    """Largest differences: numpy and torch per prediction; a sentence alone and in company."""
    model = made(name, 32)
    save_weights(folder / "w", model)
    scorer = NeuralScorer(TensorFile(folder / "w"), model.config)
    random = np.random.default_rng(1)
    sentences = [random.integers(2, V, random.integers(1, 30)).tolist() for _ in range(63)]
    sentences.append(random.integers(2, V, 5000).tolist())
    whole = part_of(sentences)
    twins = np.abs(scorer.nll(whole, "sentence") - evaluate(model, whole, "sentence")).max()
    alone = [scorer.nll(part_of([s]), "sentence").sum() for s in sentences]
    worst = 0.0
    for order in (np.arange(64), random.permutation(64)):
        nll_N = scorer.nll(part_of([sentences[i] for i in order]), "sentence")
        bounds = np.cumsum([0, *(len(sentences[i]) + 1 for i in order)])
        for place, i in enumerate(order):
            if len(sentences[i]) < 5000:
                together = nll_N[bounds[place] : bounds[place + 1]].sum()
                worst = max(worst, abs(together - alone[i]))
    return float(twins), worst


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(describe())
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in SETTINGS:
            twins, company = score_differences(name, Path(folder))
            rows.append([name, f"{gradient_error(name):.1e}", f"{twins:.1e}", f"{company:.1e}"])
    print(table(["model", "gradient, relative", "numpy - torch, nats", "company, nats"], rows))


if __name__ == "__main__":
    main()
