"""Adaptive softmax (Grave, Joulin, Cisse, Grangier & Jegou 2017): rare words in clusters.

    p(w | g) = p_head(w)                for words before the first cutoff
    p(w | g) = p_head(k) p_k(w)         for words of cluster k
    p_head   = softmax over those words (rows u_w) and the clusters (rows u_k, plus the logarithm
               of the number of words in the cluster)
    p_k      = softmax over the cluster's words

Ids are sorted by falling frequency, so clusters are ranges of ids, and most predictions need the
head alone. The logarithm is ours: a model of zeros is uniform over all words.

Untied, cluster k has rows v_w of width D / ``tail_division``^k and scores v_w . (P_k g), as in the
paper. Tied, the rows of all words are the word vectors, e_w . g in the head and e_w . (P_k g) in
cluster k with a square P_k that starts as the identity: word vectors of one width for all words,
as their neighbours are asked for (Baevski & Auli 2019 tie with narrower vectors of rare words).

Shape suffixes: V vocabulary, D width of what the layer reads, K words of the head and clusters, N
predictions, M of them in one cluster, C words of a cluster.
"""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nplm_cli.config import ModelConfig
from nplm_cli.models.initialisation import init_parameter
from nplm_cli.models.output import OutputLayer, Softmax, init_rows


class Projection(nn.Module):
    """A matrix without bias; a square one may start as the identity."""

    def __init__(self, before: int, after: int, *, identity: bool):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(after, before))
        self.identity = identity

    def forward(self, x: Tensor) -> Tensor:
        """Multiply (..., before) to (..., after)."""
        return nn.functional.linear(x, self.weight)

    def init_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> None:
        """The identity, or random as other matrices."""
        if self.identity:
            nn.init.eye_(parameter)
        else:
            init_parameter(name, parameter, generator)


class Rows(nn.Module):
    """Rows ``weight`` of an output matrix and, of the head's clusters, biases."""

    def __init__(self, rows: int, width: int, *, bias: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width))
        self.bias = nn.Parameter(torch.empty(rows)) if bias else None

    def init_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> None:
        """As rows and biases of words."""
        init_rows(name, parameter, generator)


class AdaptiveOutput(OutputLayer):
    """Head and clusters; ``weight`` has the rows of the head's words, ``bias`` is of all words."""

    def __init__(self, config: ModelConfig, vocabulary_size: int, width: int):
        bounds = config.softmax_bounds(vocabulary_size)
        super().__init__(bounds[0], width, tied=bool(config.tie), bias=False)
        self.bounds = bounds
        self.bias = nn.Parameter(torch.empty(vocabulary_size)) if config.output_bias else None
        sizes = [end - begin for begin, end in itertools.pairwise(self.bounds)]
        self.clusters = Rows(len(sizes), width, bias=config.output_bias)
        widths = [width if config.tie else config.tail_width(width, k) for k in range(len(sizes))]
        self.projections = nn.ModuleList(
            Projection(width, own, identity=bool(config.tie)) for own in widths
        )
        pairs = [] if config.tie else zip(sizes, widths, strict=True)
        self.tails = nn.ModuleList(Rows(size, own) for size, own in pairs)
        self.sizes = [bounds[0], *sizes]
        self._log_sizes = [math.log(size) for size in sizes]

    @torch.no_grad()
    def start_at(self, log_p_V: Tensor) -> None:
        """Let the biases alone give these log-probabilities, the clusters' too."""
        super().start_at(log_p_V)
        if self.clusters.bias is not None:
            _, *clusters = log_p_V.split(self.sizes)
            log_p_clusters = torch.stack([log_p_C.logsumexp(0) for log_p_C in clusters])
            self.clusters.bias.copy_(log_p_clusters - log_p_V.new_tensor(self._log_sizes))

    def softmaxes(
        self, hidden_ND: Tensor, targets_N: Tensor, words_VD: Tensor
    ) -> Iterator[Softmax]:
        """The head's choice of all predictions, and a cluster's of those whose target is in it."""
        head = self.bounds[0]
        (weight_KD, bias_K), *tails = self._pieces(words_VD)
        inner = torch.tensor(self.bounds[:-1], device=targets_N.device)
        # 0 for words of the head, k for those of cluster k.
        cluster_N = torch.bucketize(targets_N, inner, right=True)
        head_N = torch.where(cluster_N == 0, targets_N, head - 1 + cluster_N)
        yield Softmax(hidden_ND, weight_KD, bias_K, head_N)
        for number, (projection, tail) in enumerate(zip(self.projections, tails, strict=True), 1):
            rows_M = (cluster_N == number).nonzero()[:, 0]
            if len(rows_M):
                hidden_MD = projection(hidden_ND.index_select(0, rows_M))
                targets_M = targets_N.index_select(0, rows_M) - self.bounds[number - 1]
                yield Softmax(hidden_MD, *tail, targets_M, rows_M)

    def logits(self, hidden: Tensor, words_VD: Tensor) -> Tensor:
        """Log-probabilities (..., V) of hidden states (..., D)."""
        head, *tails = self._pieces(words_VD)
        log_p_K = nn.functional.linear(hidden, *head).log_softmax(-1)
        log_p, *log_p_clusters = log_p_K.split([self.bounds[0], *[1] * len(tails)], dim=-1)
        pieces = [log_p]
        for projection, tail, log_p in zip(self.projections, tails, log_p_clusters, strict=True):
            logits_C = nn.functional.linear(projection(hidden), *tail)
            pieces.append(logits_C.log_softmax(-1) + log_p)
        return torch.cat(pieces, dim=-1)

    def _pieces(self, words_VD: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """Rows and biases of the head (its words, then the clusters) and of each cluster's words.

        Cut at once: the gradient of a table then is one table, not one for each piece.
        """
        rows: list[Tensor]
        if self.weight is None:
            rows = list(words_VD.split(self.sizes))
        else:
            rows = [self.weight, *(tail.get_parameter("weight") for tail in self.tails)]
        sizes_K = rows[0].new_tensor(self._log_sizes)
        biases: list[Tensor | None] = [None] * len(self.sizes)
        if self.bias is None or self.clusters.bias is None:
            biases[0] = torch.cat([rows[0].new_zeros(self.bounds[0]), sizes_K])
        else:
            first, *others = self.bias.split(self.sizes)
            biases = [torch.cat([first, self.clusters.bias + sizes_K]), *others]
        rows[0] = torch.cat([rows[0], self.clusters.weight])
        return list(zip(rows, biases, strict=True))
