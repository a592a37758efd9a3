"""Word vectors by counting: which words stand beside a word, and the SVD of that table.

    PPMI(w, c) = max(0, ln (N n(w, c) / (n(w) n(c)))) n(w, c) / (n(w, c) + 1) m / (m + 1)
    PPMI ~ U_d S_d V_d',   vectors U_d S_d

A column c is one of the most frequent words at one of the places -2, -1, +1, +2 from w, and m the
smaller of n(w) and n(c): what was seen once or twice is believed by half (Pantel & Lin 2002).
Without that, and with the square root of S, a network that begins with the vectors learns its text
by heart sooner (docs/results.md). Counting neighbours place by place: Bullinaria & Levy (2007);
the randomised SVD: Halko, Martinsson & Tropp (2011).

Shape suffixes: N tokens, R words with a vector, C columns, D dimensions, K sketch.
"""

import numpy as np

PLACES = (-2, -1, 1, 2)
# Words that get a vector, columns a place, and cells of the table: they bound time and memory.
MAX_WORDS, COLUMNS, MAX_CELLS = 20_000, 1_000, 50_000_000
# Tokens that are counted, from the start of the text, and tokens of one block of them.
MAX_TOKENS, BLOCK = 20_000_000, 4_000_000
# Columns of the sketch beyond those wanted, and passes over the table that sharpen it.
EXTRA, PASSES = 32, 2


def count_vectors(ids_N: np.ndarray, vocabulary_size: int, dim: int, seed: int) -> np.ndarray:
    """Vectors (R, D) of the first words of a vocabulary that is sorted by frequency.

    The first ``MAX_TOKENS`` of the text are counted, across the ends of sentences and files. Rows
    have lengths around 1, between 0.5 and 1.5: longer ones have more to tell. D is ``dim``,
    or less where the table has fewer columns or rows.
    """
    ids_N = ids_N[:MAX_TOKENS]
    words = min(vocabulary_size, MAX_WORDS)
    columns = min(words, COLUMNS, max(1, MAX_CELLS // (len(PLACES) * words)))
    table_RC = np.concatenate(
        [ppmi(neighbour_counts(ids_N, place, words, columns), ids_N) for place in PLACES], axis=1
    )
    left_RD, values_D = truncated_svd(table_RC, dim, np.random.default_rng(seed))
    vectors_RD = left_RD * values_D
    lengths_R1 = np.linalg.norm(vectors_RD, axis=1, keepdims=True)
    typical = max(float(np.sqrt(np.mean(lengths_R1**2))), 1e-12)
    wanted_R1 = np.clip(lengths_R1 / typical, 0.5, 1.5)
    return (vectors_RD * (wanted_R1 / np.maximum(lengths_R1, 1e-12))).astype(np.float32)


def neighbour_counts(ids_N: np.ndarray, place: int, words: int, columns: int) -> np.ndarray:
    """How often word c < ``columns`` stands ``place`` tokens after word w < ``words``: (R, C)."""
    first, last = max(0, -place), len(ids_N) - max(0, place)
    cells = np.zeros(words * columns, np.int64)
    for start in range(first, last, BLOCK):
        end = min(start + BLOCK, last)
        w_N = np.asarray(ids_N[start:end], np.int64)
        c_N = np.asarray(ids_N[start + place : end + place], np.int64)
        kept = (w_N < words) & (c_N < columns)
        cells += np.bincount(w_N[kept] * columns + c_N[kept], minlength=words * columns)
    return cells.reshape(words, columns)


def ppmi(counts_RC: np.ndarray, ids_N: np.ndarray) -> np.ndarray:
    """Positive pointwise mutual information (nats, float32) of counts, less where they are few."""
    words, columns = counts_RC.shape
    total_V = np.bincount(np.asarray(ids_N), minlength=max(words, columns))
    with np.errstate(divide="ignore"):
        log_V = np.log(total_V.astype(np.float32))
        table_RC = np.log(counts_RC.astype(np.float32))
    table_RC += np.float32(np.log(max(len(ids_N), 1)))
    # A word that does not occur has no counts either: its row is -inf less -inf.
    with np.errstate(invalid="ignore"):
        table_RC -= log_V[:words, None]
        table_RC -= log_V[:columns]
    np.nan_to_num(np.maximum(table_RC, 0, out=table_RC), copy=False, posinf=0.0)
    least_RC = np.minimum(total_V[:words, None], total_V[:columns]).astype(np.float32)
    table_RC *= counts_RC / (counts_RC + np.float32(1))
    table_RC *= least_RC / (least_RC + 1)
    return table_RC


def truncated_svd(
    table_RC: np.ndarray, dim: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors (R, D) and values (D,), largest first, of about rank ``dim``."""
    dim = min(dim, *table_RC.shape)
    sketch = min(dim + EXTRA, *table_RC.shape)
    q_CK = random.standard_normal((table_RC.shape[1], sketch), np.float32)
    for _ in range(PASSES):
        y_RK = np.linalg.qr(table_RC @ q_CK)[0]
        q_CK = np.linalg.qr(table_RC.T @ y_RK)[0]
    left_RK, values_K, _ = np.linalg.svd(table_RC @ q_CK, full_matrices=False)
    return left_RK[:, :dim], values_K[:dim]
