"""Features of the words before the window in numpy: a twin of ``models/far_context.py``.

Shape suffixes: B rows, T positions, F far words, S = T + F - 1, E word vectors, K kernels,
A averages, C positions of a block, W = C + F - 1 words that it reads.
"""

import numpy as np

from nplm_cli.config import ModelConfig
from nplm_cli.query.layers import Shapes, Weights

KERNELS = "encoder.far.kernels.weight"
IMPORTANCE, DECAY = "encoder.far.averages.weight", "encoder.far.averages.decay"
# Positions handled at once: what they read and what they need of it stay of like size.
BLOCK = 32
IMPORTANCE_LIMIT = 10.0


def far_shapes(config: ModelConfig) -> Shapes:
    """Return the shapes of the weights of the far context; none without one."""
    shapes: Shapes = {}
    if config.far and config.kernels:
        shapes[KERNELS] = (config.kernels, config.far)
    if config.far and config.averages:
        shapes[IMPORTANCE] = (config.averages, config.dim)
        shapes[DECAY] = (config.averages,)
    return shapes


def far_features(weights: Weights, config: ModelConfig, y_BSE: np.ndarray) -> np.ndarray:
    """Return (B, T, (K + A) E): of each prediction t the features of words t .. t + F - 1."""
    positions = y_BSE.shape[1] - config.far + 1
    width = (config.kernels + config.averages) * config.dim
    features = np.empty((len(y_BSE), positions, width), np.float32)
    for start in range(0, positions, BLOCK):
        count = min(BLOCK, positions - start)
        y_BWE = y_BSE[:, start : start + count + config.far - 1]
        parts = []
        if config.kernels:
            parts.append(_bands(weights[KERNELS], count) @ y_BWE[:, None])
        if config.averages:
            parts.append(_averages(weights, config.far, count, y_BWE))
        # (B, kernels and averages, C, E) -> (B, C, all features of a position side by side)
        side_by_side = np.concatenate(parts, axis=1).swapaxes(1, 2)
        features[:, start : start + count] = side_by_side.reshape(len(y_BSE), count, width)
    return features


def _averages(weights: Weights, far: int, count: int, y_BWE: np.ndarray) -> np.ndarray:
    """Return the averages (B, A, C, E) of a block."""
    # ln sigmoid(decay) without overflow.
    log_decay_A = -np.logaddexp(np.float32(0), -weights[DECAY])
    bands_ACW = _bands(np.exp(log_decay_A[:, None] * np.arange(far, dtype=np.float32)), count)
    scores_BWA = y_BWE @ weights[IMPORTANCE].T
    g_BAW = np.exp(scores_BWA.clip(-IMPORTANCE_LIMIT, IMPORTANCE_LIMIT)).swapaxes(1, 2)
    sums_BACE = bands_ACW @ (g_BAW[..., None] * y_BWE[:, None])
    return sums_BACE / (bands_ACW @ g_BAW[..., None])


def _bands(kernels_KF: np.ndarray, count: int) -> np.ndarray:
    """Return (K, C, W): row c holds each kernel, the nearest word last, from column c on."""
    far = kernels_KF.shape[1]
    distance_CW = far - 1 + np.arange(count)[:, None] - np.arange(count + far - 1)
    inside = (distance_CW >= 0) & (distance_CW < far)
    return np.where(inside, kernels_KF[:, np.clip(distance_CW, 0, far - 1)], np.float32(0))
