"""Word vectors, and vector spaces side by side."""

from mutant import mutant

MUTANTS = (
    # Word vectors.
    mutant(
        "query among its neighbours",
        "the nearest word to a word is itself",
        ("vectors/keyed.py", "[self.skip | {row} for row in rows],", "[self.skip for row in rows],"),
        tests="vectors worked",
    ),
    mutant(
        "specials among the neighbours",
        "<unk> and </s> are offered as words",
        ("vectors/keyed.py", "[self.skip | {row} for row in rows],", "[frozenset({row}) for row in rows],"),
        tests="vectors",
    ),
    mutant(
        "cosine without lengths",
        "long vectors are near to everything",
        ("vectors/nearest.py", "lengths_N = exact_lengths(rows_ND) * exact_lengths(query_D)", "lengths_N = np.full(len(rows_ND), exact_lengths(query_D))"),
        tests="vectors worked",
    ),
    mutant(
        "analogy offset reversed",
        "b - a + c becomes b + a - c: countries for capitals",
        ("vectors/analogy_search.py", "nearest.unit(b) + nearest.unit(c) - nearest.unit(a)", "nearest.unit(b) + nearest.unit(a) - nearest.unit(c)"),
        tests="vectors/test_analogy.py",
    ),
    mutant(
        "3CosMul of unshifted cosines",
        "negative cosines make quotients whose sign means nothing",
        ("vectors/analogy_search.py", '(1 + nearest.exact_scores(words_N3D[:, i], rows_ND, "cosine")) / 2', '(0 + nearest.exact_scores(words_N3D[:, i], rows_ND, "cosine")) / 2'),
        tests="vectors/test_analogy.py",
    ),
    mutant(
        "bound of 3CosMul too low",
        "the best answer is passed over where another word has the higher float32 score",
        ("vectors/analogy_search.py", "high_UB += self._slack", "high_UB -= self._slack"),
        tests="vectors/test_analogy.py",
    ),
    mutant(
        "ties ranked in order",
        "equal ratings get different ranks",
        ("vectors/ratings.py", "(np.cumsum(counts_L) - (counts_L - 1) / 2)[level_N]", "np.argsort(np.argsort(level_N)) + 1.0"),
        tests="vectors/test_ratings.py",
    ),
    mutant(
        "uncovered pairs at zero",
        "a pair with an unknown word counts as unrelated words",
        ("vectors/ratings.py", "x.mean() if enough else 0.0", "0.0"),
        tests="vectors/test_ratings.py",
    ),
    mutant(
        "words told apart by seven bytes",
        "a file whose long words begin alike is refused, or a repeated word is taken",
        ("vectors/line_words.py", "keys_W[longer] = cells_of", "keys_W[longer[:0]] = 0 * cells_of"),
        tests="vectors/test_line_words.py",
    ),
    mutant(
        "a word found within a word",
        "the vector of another word is asked",
        ("vectors/line_words.py", 'line = f"\\n{word}\\n".encode()', 'line = f"\\n{word}".encode()'),
        tests="vectors/test_line_words.py vectors/test_keyed.py",
    ),
    # Vector spaces side by side.
    mutant(
        "rotation tested on its own words",
        "a rotation finds agreement in noise on the words that it was fitted on",
        ("vectors/comparison.py", "rotation(np.delete(cross_FDD, fold, axis=0).sum(axis=0))", "rotation(cross_FDD.sum(axis=0))"),
        tests="vectors/test_comparison.py",
    ),
    mutant(
        "rotation the wrong way",
        "the transpose lays the target on the source",
        ("vectors/procrustes.py", "product: np.ndarray = u_DD @ vt_DD", "product: np.ndarray = (u_DD @ vt_DD).T"),
        tests="vectors/test_comparison.py",
    ),
    mutant(
        "rotation that stretches",
        "least squares instead of a rotation: singular values kept",
        ("vectors/procrustes.py", "product: np.ndarray = u_DD @ vt_DD", "product: np.ndarray = cross_DD.astype(np.float64)"),
        tests="vectors/test_comparison.py",
    ),
    mutant(
        "word among its own shared neighbours",
        "each word is its own neighbour in both spaces: overlap is never below 1 / k",
        ("vectors/retrieval.py", "scores_BN[itself - block.start, itself] = -np.inf", "pass"),
        tests="vectors/test_comparison.py",
    ),
    mutant(
        "floor of unequal noise",
        "the plain mean lies above what noise lets them agree in",
        ("vectors/noise_floor.py", 'record["floor"] = float(expected(measure, floors[0], floors[1]))', 'record["floor"] = (floors[0] + floors[1]) / 2'),
        tests="vectors/test_comparison.py",
    ),
    mutant(
        "pairs of one seed count",
        "models of one seed begin with the same vectors: architectures look alike",
        ("vectors/noise_floor.py", "if len(key) == 2 and others:", "if False:"),
        tests="vectors/test_comparison.py",
    ),
    mutant(
        "below the floor on average",
        "means decide where each pair of runs should",
        ("vectors/noise_floor.py", 'record["below_floor"] = record["between_range"][1] < record["floor_range"][0]', 'record["below_floor"] = record["difference"] < 0'),
        tests="vectors/test_comparison.py",
    ),
    mutant(
        "seed tells runs apart",
        "every run is a group of its own, and there is no noise floor",
        ("cli/run_groups.py", 'for name in ("seed", *MACHINE):', "for name in MACHINE:"),
        tests="cli/test_spaces.py",
    ),
    mutant(
        "map has seen what it is asked",
        "the accuracy of a dictionary that was learnt by heart",
        ("vectors/held_out.py", "use = slice(None) if held is None else pairs.folds_P != held", "use = slice(None)"),
        tests="vectors/test_alignment.py",
    ),
    mutant(
        "hubs of the wrong side",
        "CSLS with the targets' density among themselves",
        ("vectors/held_out.py", "hubs_T = mean_of_top(self.target_TD, mapped_SD, self.csls)", "hubs_T = mean_of_top(self.target_TD, self.target_TD, self.csls)"),
        tests="vectors/test_alignment.py",
    ),
    mutant(
        "csls without the factor 2",
        "hubs weigh twice as much as they should",
        ("vectors/held_out.py", "scores_QT: np.ndarray = 2 * cosines_QT - own_Q1 - hubs_T", "scores_QT: np.ndarray = cosines_QT - own_Q1 - hubs_T"),
        tests="vectors/test_alignment.py",
    ),
    mutant(
        "p-value without the observed",
        "20 shuffles give p = 0",
        ("vectors/held_out.py", "(1 + sum(c >= value for c in chance)) / (1 + len(chance))", "sum(c >= value for c in chance) / len(chance)"),
        tests="vectors/test_alignment.py",
    ),
    mutant(
        "fold of a pair",
        "one translation of a word teaches the map that is asked for the other",
        ("vectors/alignment.py", "np.array([fold_of.get(a, folds) for a, _ in of], np.int64),", "np.arange(len(of)) % folds,"),
        tests="vectors/test_alignment.py",
    ),
    mutant(
        "homework-counts-one-seed",
        "a neighbour that one seed alone found looks as stable as any",
        ("homework/results.py", "for found in by_seed\n", "for found in by_seed[:1]\n"),
        tests="cli/test_homework.py",
    ),
    mutant(
        "homework-validates-on-training-text",
        "a perplexity on the training text is reported as if it said something",
        ("homework/folder.py", 'ours["sha256"] == theirs["sha256"]', "False"),
        tests="cli/test_homework.py",
    ),
    mutant(
        "homework-runs-all-alike",
        "every architecture and seed is the first run once more",
        ("run_folders.py", '**run.record,\n                "settings": config.to_json(),', "**run.record,"),
        tests="cli/test_homework.py homework",
    ),
    mutant(
        "homework-repeated-sentences-unseen",
        "a validation text that stands in the training text goes unnoticed",
        ("homework/results.py", "sentence in seen for sentence in own", "sentence in own for sentence in own"),
        tests="homework",
    ),
)  # fmt: skip
