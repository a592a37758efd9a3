"""Mixtures, caches, weights that follow the text."""

from mutant import mutant

CACHE = "query/cache.py"
MIXING = "mixing.py"
INTERPOLATION = "evaluation/interpolation.py"
DYNAMIC = "evaluation/dynamic.py"

MUTANTS = (
    mutant(
        "cache: sees the word it predicts",
        "a lag of 0 is among those seen: perplexities near 1",
        (CACHE, "(lag_QK > low)", "(lag_QK >= low)"),
        (CACHE, "slice(max(0, block.start - high), longest - low)", "slice(max(0, block.start - high), longest - low + 1)"),
        tests="query/test_cache.py",
    ),
    mutant(
        "cache: one word too short",
        "the oldest word is forgotten one word early",
        (CACHE, "(lag_QK <= high)", "(lag_QK < high)"),
        tests="query/test_cache.py",
    ),
    mutant(
        "cache: memory one word too short",
        "between two pieces of a text one word is lost",
        (CACHE, "kept = max(0, len(ids_K) - self.size)", "kept = max(0, len(ids_K) - self.size + 1)"),
        tests="query/test_cache.py",
    ),
    mutant(
        "cache: old words count more",
        "the decay grows with the distance",
        (CACHE, "np.float32(np.log(setting))", "np.float32(-np.log(setting))"),
        tests="query/test_cache.py",
    ),
    mutant(
        "cache: distribution without theta",
        "questions and measurements see another cache",
        (CACHE, "score_BM = cache.theta * (", "score_BM = ("),
        tests="query/test_cache.py",
    ),
    mutant(
        "cache: takes its weight along when empty",
        "the first words of a file are less likely than they should be",
        ("query/mixture.py", "mixed -= np.log(there)", "pass"),
        tests="query/test_mixture.py",
    ),
    mutant(
        "EM forgets the old weights",
        "each step starts from equal weights",
        (INTERPOLATION, "np.maximum(weights_K * gain_K, LEAST)", "np.maximum(gain_K, LEAST)"),
        tests="evaluation/test_interpolation.py",
    ),
    mutant(
        "EM on what has no distribution",
        "a prediction is left out only where all components are nan; one nan spoils the sum",
        (INTERPOLATION, "np.isnan(log_p_KN).any(axis=0)", "np.isnan(log_p_KN).all(axis=0)"),
        tests="evaluation/test_interpolation.py",
    ),
    mutant(
        "EM: nats without the largest",
        "the scale that keeps the exponentials in range is left out of the figure",
        (INTERPOLATION, "(np.log(mixed_N) + top_N).mean()", "np.log(mixed_N).mean()"),
        tests="evaluation/test_interpolation.py",
    ),
    mutant(
        "EM stops early",
        "the bound of what is left is taken of the worst component",
        (INTERPOLATION, "np.log(gain_K.max()) <= GAP", "np.log(gain_K.mean()) <= GAP"),
        tests="evaluation/test_interpolation.py",
    ),
    mutant(
        "dynamic: decay to 0",
        "weights are pulled to nothing instead of to the trained ones",
        (DYNAMIC, "weight.lerp_(trained, self.config.decay)", "weight.mul_(1 - self.config.decay)"),
        tests="evaluation/test_dynamic.py",
    ),
    mutant(
        "dynamic: away from the text",
        "the step has the wrong sign",
        (DYNAMIC, "value=-self.config.lr", "value=self.config.lr"),
        tests="evaluation/test_dynamic.py",
    ),
    mutant(
        "dynamic: squares for roots",
        "gradients are divided by the mean of their squares",
        (DYNAMIC, "(square / self.segments).sqrt_().add_(EPS)", "(square / self.segments).add_(EPS)"),
        tests="evaluation/test_dynamic.py",
    ),
    mutant(
        "dynamic: statistics of the file before",
        "the second file of a text is scored otherwise than alone",
        (DYNAMIC, "        if self.scales is None:\n            self._forget()", "        pass"),
        tests="evaluation/test_dynamic.py",
    ),
    mutant(
        "dynamic: mean of the segment",
        "short segments count as much as long ones",
        (DYNAMIC, "nll_C.sum() / self.config.segment", "nll_C.mean()"),
        tests="evaluation/test_dynamic.py",
    ),
    mutant(
        "mix: worst cache of the grid",
        "the candidate with most nats is kept",
        (INTERPOLATION, "nats < best[0]", "nats > best[0]"),
        tests="evaluation/test_cache_grid.py",
    ),
    mutant(
        "mix: grid of the first cache for all",
        "the second cache is chosen among the candidates of the first",
        (MIXING, "        begin += count\n", ""),
        tests="evaluation/test_cache_grid.py",
    ),
    mutant(
        "mix: figures of other rows",
        "the report is of the first candidates, not of those chosen",
        (MIXING, "mixed_log_probs(log_p_GN[rows], mixture.weights)", "mixed_log_probs(log_p_GN[: len(rows)], mixture.weights)"),
        tests="cli/mix",
    ),
)  # fmt: skip
