"""What the throughput benchmark measures: a function a section, which returns table rows."""

import functools
import importlib.util
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import VOCABULARY, Row, Settings, compared, rate, shown
from peers import (
    gathered_windows,
    plain_encoding,
    plain_neighbors,
    plain_training,
    plain_trigrams,
)

from nplm_cli import events
from nplm_cli.artifacts import TensorFile
from nplm_cli.config import Config, Context
from nplm_cli.corpus.batches import scoring_batches
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.evaluation.evaluator import evaluate
from nplm_cli.models import build
from nplm_cli.models.base import LanguageModel
from nplm_cli.ngram import NgramModel
from nplm_cli.query.scorer import NeuralScorer
from nplm_cli.training.checkpoints import save_weights
from nplm_cli.training.loop import Trainer
from nplm_cli.training.store import RunFiles
from nplm_cli.vectors.keyed import KeyedVectors

SIZES = ({"order": 5, "dim": 128, "hidden": 256}, {"order": 10, "dim": 256, "hidden": 512})


def training(settings: Settings) -> list[Row]:
    """Training tokens a second, with as many predictions a step on both sides."""
    rows = []
    part = settings.part
    for size in SIZES:
        steps = (
            (8 if settings.quick else 30) if size["order"] == 5 else (4 if settings.quick else 12)
        )
        config = Config().replace(**size, steps=steps, checkpoint_every=1e9, lr=0.002)
        batch = round(config.training.batch * part.predictions / part.sentences)
        windows = gathered_windows(part.ids_N, part.starts, size["order"] - 1, EOS_ID)
        sizes = {"vocabulary": VOCABULARY, "dim": size["dim"], "hidden": size["hidden"]}
        targets = torch.from_numpy(part.ids_N.astype(np.int64))
        peer = plain_training(windows, targets, sizes, batch, 5.0)

        def ours(config: Config = config) -> float:
            return _trained(part, config, settings.folder)

        name = f"n {size['order']} d {size['dim']} h {size['hidden']}, {batch} tokens a step"
        rows.append(compared(name, "tokens/s", settings.turns, ours, lambda p=peer, s=steps: p(s)))
    return rows


def _trained(part: Part, config: Config, folder: Path) -> float:
    """Tokens a second between the first and the last step; saving is not counted."""
    network = build(config.model, VOCABULARY)
    network.init_weights(torch.Generator().manual_seed(1))
    times: list[float] = []
    tokens: list[int] = []

    def on_event(event: events.Event) -> None:
        if isinstance(event, events.Progress) and event.what == "training":
            times.append(time.perf_counter())
            tokens.append(trainer.progress.tokens)

    folder = folder / "training"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    trainer = Trainer(network, part, None, config.training, RunFiles(folder), on_event=on_event)
    trainer.fit()
    return (tokens[-1] - tokens[0]) / (times[-1] - times[0])


SCORED: dict[str, dict[str, Any]] = {
    "ffn n 8 h 512 d 256 tied": {"order": 8, "dim": 256, "hidden": 512, "tie": True},
    "ffn n 5 h 256 d 128": {"order": 5, "dim": 128, "hidden": 256},
    "lstm h 512 d 256 tied": {"arch": "lstm", "dim": 256, "hidden": 512, "tie": True},
    "lstm h 256 d 128 tied": {"arch": "lstm", "dim": 128, "hidden": 256, "tie": True},
}


def scoring(settings: Settings) -> list[Row]:
    """Exact scoring of held-out text: the torch evaluator and the numpy scorer beside plain torch.

    The peer is a loop over the same batches: the model's forward, then ``log_softmax`` of all
    words. Under both context policies, by the clock of ``--cpu-time`` or of the wall. A row
    says what the matrix products alone allow, one for each token.
    """
    sentences = 100 if settings.quick else 600
    starts = settings.part.starts[: sentences + 1]
    part = Part(settings.part.ids_N[: starts[-1]], starts, np.zeros(1, np.int64), 0)
    clock, rows = settings.clock, []
    for name, sizes in SCORED.items():
        config = Config().replace(**sizes)
        network = build(config.model, VOCABULARY)
        network.init_weights(torch.Generator().manual_seed(1))
        path = settings.folder / "scored.safetensors"
        save_weights(path, network)
        scorer = NeuralScorer(TensorFile(path), config.model)
        policies: tuple[Context, ...] = ("sentence", "stream")
        for policy in policies:
            works: dict[str, Callable[[], Any]] = {
                "torch": functools.partial(evaluate, network, part, policy),
                "numpy": functools.partial(scorer.nll, part, policy),
            }
            plain = functools.partial(plain_log_softmax, network, part, policy)
            for label, work in works.items():
                ours = rate(part.predictions, work, clock)
                peer = rate(part.predictions, plain, clock)
                what = f"{name}, {policy}, {label}"
                rows.append(compared(what, "tokens/s", settings.turns, ours, peer))
            alone = rate(PRODUCT_ROWS, products_alone(config, policy), clock)
            median = statistics.median(alone() for _ in range(2 * settings.turns + 1))
            what = f"{name}, {policy}, the products alone, numpy"
            rows.append([what, shown(median), "-", "tokens/s", "-", "-"])
    return rows


PRODUCT_ROWS = 1024


def products_alone(config: Config, policy: Context) -> Callable[[], None]:
    """Nothing but the products with the weights that ``PRODUCT_ROWS`` tokens take.

    As many rows at once as nplm has, under ``stream`` one in the recurrent product.
    """
    model = config.model.resolved()
    sizes = [(256, model.hidden, model.dim)] if model.tie else []
    sizes.append((PRODUCT_ROWS, model.dim if model.tie else model.hidden, VOCABULARY))
    if model.arch == "lstm":
        gates = 4 * model.hidden
        sizes.append((256, model.dim, gates))
        sizes.append((1 if policy == "stream" else 128, model.hidden, gates))
    else:
        sizes.append((256, (model.order - 1) * model.dim, model.hidden))
    random = np.random.default_rng(1)
    matrices = [
        (random.standard_normal((m, k), np.float32), random.standard_normal((k, n), np.float32),
         np.empty((m, n), np.float32))
        for m, k, n in sizes
    ]  # fmt: skip

    def work() -> None:
        for left, right, out in matrices:
            for _ in range(PRODUCT_ROWS // len(left)):
                np.matmul(left, right, out=out)

    return work


@torch.no_grad()
def plain_log_softmax(network: LanguageModel, part: Part, policy: Context) -> np.ndarray:
    """Nats of a part by the model's forward and ``log_softmax``, a batch at a time."""
    network.eval()
    nll_N = np.zeros(part.predictions)
    state = None
    for batch, positions in scoring_batches(part, policy, 2048):
        state = network.carried_state(state, torch.from_numpy(batch.fresh_B))
        hidden_BTD, state = network(torch.from_numpy(batch.ids_BT), state)
        targets_BT = torch.from_numpy(batch.targets_BT)
        counted = targets_BT >= 0
        log_p_NV = network.logits(hidden_BTD[counted]).log_softmax(-1)
        nll_N[positions] = -log_p_NV.gather(1, targets_BT[counted][:, None])[:, 0].numpy()
    return nll_N


def encoding(settings: Settings) -> list[Row]:
    """From a file of segmented text to ids: read, count, cut, encode; both passes are counted."""
    megabytes = settings.file.stat().st_size / 1e6

    def plain() -> None:
        plain_encoding(settings.file.read_text("utf-8").splitlines())

    return [
        compared(
            "segmented text to ids (split, dictionary)",
            "MB/s",
            settings.turns,
            rate(megabytes, settings.encode),
            rate(megabytes, plain),
        )
    ]


def neighbors(settings: Settings) -> list[Row]:
    """The 10 nearest words, exact with stable ties, beside one float32 product and a partition."""
    rows = []
    random = np.random.default_rng(1)
    for size, dim in ((10_000, 100), (20_000 if settings.quick else 100_000, 300)):
        vectors = random.standard_normal((size, dim)).astype(np.float32)
        words = [f"w{i}" for i in range(size)]
        keyed = KeyedVectors(words, vectors)
        keyed.neighbors([0])  # lengths are computed once
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        peers: dict[str, Callable[[np.ndarray], Any]] = {
            "numpy": lambda rows, u=unit: _in_blocks(u, rows)
        }
        if importlib.util.find_spec("gensim"):
            peers["gensim"] = _gensim_neighbors(words, vectors)
        for queries in (1, 100 if settings.quick else 1000):
            chosen = random.choice(size, queries, replace=False)
            asked = [int(row) for row in chosen]
            repeats = 20 if queries == 1 else 1

            def ours(k: KeyedVectors = keyed, a: list[int] = asked, r: int = repeats) -> None:
                for _ in range(r):
                    k.neighbors(a, k=10)

            for name, peer in peers.items():

                def theirs(p: Any = peer, c: np.ndarray = chosen, r: int = repeats) -> None:
                    for _ in range(r):
                        p(c)

                rows.append(
                    compared(
                        f"{size:,} x {dim}, {queries:,} at a time ({name})",
                        "queries/s",
                        settings.turns,
                        rate(queries * repeats, ours),
                        rate(queries * repeats, theirs),
                    )
                )
    return rows


def _in_blocks(unit: np.ndarray, rows: np.ndarray) -> None:
    for start in range(0, len(rows), 128):
        plain_neighbors(unit, rows[start : start + 128], 10)


def _gensim_neighbors(words: list[str], vectors: np.ndarray) -> Callable[[np.ndarray], None]:
    from gensim.models import KeyedVectors as Gensim

    peer = Gensim(vectors.shape[1])
    peer.add_vectors(words, vectors)
    peer.fill_norms()

    def ask(rows: np.ndarray) -> None:
        for row in rows:
            peer.most_similar(words[row], topn=10)

    return ask


def kneser_ney(settings: Settings) -> list[Row]:
    """Interpolated modified Kneser-Ney of order 3, beside counting alone in dictionaries."""
    ids = settings.part.ids_N
    millions = len(ids) / 1e6
    rows = [
        compared(
            "build order 3 (dictionaries, counts only)",
            "million tokens/s",
            settings.turns,
            rate(millions, lambda: NgramModel.train(ids, order=3, vocab_size=VOCABULARY)),
            rate(millions, lambda: plain_trigrams(ids)),
        )
    ]
    model = NgramModel.train(ids, order=3, vocab_size=VOCABULARY)
    score = rate(millions, lambda: model.log_probs(ids))
    if importlib.util.find_spec("kenlm") and shutil.which("lmplz"):
        peer = _kenlm(settings)
        rows.append(
            compared("score order 3 (kenlm)", "million tokens/s", settings.turns, score, peer)
        )
    else:
        score()
        median = statistics.median(score() for _ in range(settings.turns))
        rows.append(
            ["score order 3 (no kenlm here)", shown(median), "-", "million tokens/s", "-", "-"]
        )
    return rows


def _kenlm(settings: Settings) -> Callable[[], float]:
    import kenlm

    arpa = settings.folder / "3.arpa"
    with open(settings.file, "rb") as text, open(arpa, "wb") as out:
        command = ["lmplz", "-o", "3", "--skip_symbols", "--discount_fallback"]
        subprocess.run(command, stdin=text, stdout=out, stderr=subprocess.DEVNULL, check=True)
    model = kenlm.Model(str(arpa))
    return rate(
        settings.part.predictions / 1e6, lambda: [model.score(line) for line in settings.lines]
    )
