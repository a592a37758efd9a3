"""The other side of each comparison: what one would write without nplm, written with care."""

import collections
import itertools
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PlainFeedforward(nn.Module):
    """The same architecture on gathered windows: embedding, tanh layer, softmax with bias."""

    def __init__(self, vocabulary: int, window: int, dim: int, hidden: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, dim)
        self.hidden = nn.Linear(window * dim, hidden)
        self.output = nn.Linear(hidden, vocabulary)
        nn.init.normal_(self.embedding.weight, std=0.1)
        nn.init.normal_(self.output.weight, std=(10 * hidden) ** -0.5)
        nn.init.zeros_(self.output.bias)

    def forward(self, windows_NK: torch.Tensor) -> torch.Tensor:
        """Logits (N, V) of windows of ids (N, n - 1)."""
        return self.output(torch.tanh(self.hidden(self.embedding(windows_NK).flatten(1))))


def gathered_windows(
    ids_N: np.ndarray, starts: np.ndarray, window: int, boundary: int
) -> torch.Tensor:
    """The ``window`` ids before each prediction (N, window), ``boundary`` before a sentence."""
    sentence_N = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    first_N = np.asarray(starts)[sentence_N]
    columns = [np.arange(len(ids_N)) - k for k in range(window, 0, -1)]
    windows = [np.where(c >= first_N, ids_N[np.maximum(c, 0)], boundary) for c in columns]
    return torch.from_numpy(np.stack(windows, axis=1).astype(np.int64))


def plain_training(
    windows_NK: torch.Tensor,
    targets_N: torch.Tensor,
    sizes: dict[str, int],
    batch: int,
    clip: float,
) -> Callable[[int], float]:
    """Return a function that trains for some steps and gives predictions a second.

    fp32, mean cross-entropy, gradient clipping, fused AdamW, batches of random predictions. The
    windows are gathered beforehand and cost nothing here.
    """
    model = PlainFeedforward(
        sizes["vocabulary"], windows_NK.shape[1], sizes["dim"], sizes["hidden"]
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002, weight_decay=0.0, fused=True)
    order = torch.Generator().manual_seed(1)

    def steps(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            chosen = torch.randint(len(targets_N), (batch,), generator=order)
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(model(windows_NK[chosen]), targets_N[chosen])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            loss.item()
        return count * batch / (time.perf_counter() - began)

    return steps


class PlainLstm(nn.Module):
    """One LSTM layer, tied through a projection, with the dropouts of Merity et al. (2018)."""

    def __init__(self, vocabulary: int, dim: int, hidden: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, dim)
        self.lstm = nn.LSTM(dim, hidden, batch_first=True)
        self.projection = nn.Linear(hidden, dim, bias=False)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.before = 0

    def start(self, rows: int) -> tuple[Tensor, ...]:
        """State before the first word."""
        return (torch.zeros(1, rows, self.lstm.hidden_size),) * 2

    def forward(self, ids_BT: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Logits (B, T, V) and the state, detached."""
        lstm, table_VE = self.lstm, self.embedding.weight
        dropped_BT = torch.rand(ids_BT.shape) < 0.1  # words read as <unk>
        ids_BT = ids_BT.masked_fill(dropped_BT & (ids_BT != 1), 0)
        kept_V1 = F.dropout(torch.ones(len(table_VE), 1), 0.25)  # whole word types
        x_BTE = self.embedding(ids_BT) * F.embedding(ids_BT, kept_V1)
        recurrent = F.dropout(lstm.weight_hh_l0, 0.2)
        weights = [lstm.weight_ih_l0, recurrent, lstm.bias_ih_l0, lstm.bias_hh_l0]
        # What nn.LSTM calls: torch's fused kernel.
        output_BTH, *state = torch.lstm(x_BTE, state, weights, True, 1, 0.0, True, False, True)
        hidden_BTE = self.projection(F.dropout(output_BTH, 0.5))
        logits_BTV = F.linear(hidden_BTE, table_VE, self.bias)
        return logits_BTV, *(piece.detach() for piece in state)


class PlainWindow(nn.Module):
    """n - 1 vectors side by side, a hidden layer, a residual one, tied through a projection."""

    def __init__(self, vocabulary: int, order: int, dim: int, hidden: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, dim)
        self.first = nn.Linear((order - 1) * dim, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.projection = nn.Linear(hidden, dim, bias=False)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.before = order - 2  # words of context that a strip needs beside those it reads

    def start(self, rows: int) -> tuple[Tensor, ...]:
        """Nothing: the strip holds the words before."""
        return ()

    def forward(self, ids_BS: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Logits (B, T, V) of S = T + n - 2 ids; each vector is looked up once."""
        x_BSE = F.dropout(self.embedding(ids_BS), 0.3)
        positions = ids_BS.shape[1] - self.before
        window = [x_BSE[:, k : k + positions] for k in range(self.before + 1)]
        hidden_BTH = F.gelu(self.first(torch.cat(window, dim=2)))
        hidden_BTH = hidden_BTH + F.gelu(self.second(F.dropout(hidden_BTH, 0.3)))
        hidden_BTE = self.projection(F.dropout(hidden_BTH, 0.3))
        return F.linear(hidden_BTE, self.embedding.weight, self.bias), *state


class PlainStream:
    """The plain training loop over one stream cut into strips: fp32, clipping, fused AdamW."""

    def __init__(
        self, model: PlainLstm | PlainWindow, ids_N: np.ndarray, batch: int, bptt: int, clip: float
    ):
        self.model: nn.Module = model
        self.before, self.bptt, self.clip = model.before, bptt, clip
        strip = len(ids_N) // batch
        ids_BS = np.asarray(ids_N)[: strip * batch].reshape(batch, strip).astype(np.int64)
        self.ids_BS = torch.from_numpy(ids_BS)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=0.002, weight_decay=0.0, fused=True
        )
        self.state = model.start(batch)
        self.at = self.before

    def step(self) -> int:
        """Train on the next ``bptt`` words of each strip; returns the number of predictions."""
        if self.at + self.bptt >= self.ids_BS.shape[1]:
            self.at = self.before
        end = self.at + self.bptt
        ids, targets = (
            self.ids_BS[:, self.at - self.before : end],
            self.ids_BS[:, self.at + 1 : end + 1],
        )
        self.at = end
        self.optimizer.zero_grad(set_to_none=True)
        logits_BTV, *self.state = self.model(ids, self.state)
        loss = F.cross_entropy(logits_BTV.flatten(0, 1), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        loss.item()
        return targets.numel()


def plain_encoding(lines: list[str]) -> list[int]:
    """Ids of segmented lines by ``str.split`` and a dictionary, counting and encoding in one go."""
    counts = collections.Counter(word for line in lines for word in line.split())
    index = {word: i for i, (word, _) in enumerate(counts.most_common(), 2)}
    ids: list[int] = []
    for line in lines:
        ids.extend(index[word] for word in line.split())
        ids.append(1)
    return ids


def plain_neighbors(unit_VD: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """Rows of the k largest float32 cosines, nearest first, the query itself left out."""
    scores_QV = unit_VD[rows] @ unit_VD.T
    scores_QV[np.arange(len(rows)), rows] = -np.inf
    best = np.argpartition(-scores_QV, k, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores_QV, best, 1), axis=1)
    return np.take_along_axis(best, order, 1)


def plain_trigrams(ids_N: np.ndarray) -> int:
    """Count 1-, 2- and 3-grams in dictionaries: the least that any n-gram model has to do."""
    ids = ids_N.tolist()
    tables = [
        collections.Counter(ids),
        collections.Counter(itertools.pairwise(ids)),
        collections.Counter(zip(ids, ids[1:], ids[2:], strict=False)),
    ]
    return sum(map(len, tables))
