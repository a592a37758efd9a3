"""Do the tests notice a wrong model? Each mutant is a plausible mistake in the core.

    make mutants                                 # all mutants, each against its part of the tests
    python tests/mutants.py --only padding bom   # those whose name holds one of these words
    python tests/mutants.py --all-tests          # the whole default suite for each (long)
    python tests/mutants.py --list

A mutant is applied to a copy of the repository in a temporary folder, never in place, and killed
when a test fails with it that passes without it, alone as well as among the others. Tests that
fail without any mutant say nothing about mutants: they are listed and left out. Exit status 1 when a mutant survives, does not fit the source any more (its old text
must occur exactly once), or when a test fails without a mutant.
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 600  # a mutant that makes a test run for ever is noticed, too
PYTEST_FOUND_FAILURES = 1
NOT_COPIED = (".*", "__pycache__", "*.egg-info", "runs", "build", "dist")


@dataclass(frozen=True)
class Edit:
    """Old text that stands once in a file below ``src/nplm_cli``, and what takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A mistake: its name, the edits that make it, why it matters, and the tests to ask."""

    name: str
    why: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def mutant(name: str, why: str, *edits: tuple[str, str, str], tests: str) -> Mutant:
    """Make a mutant; ``tests`` are folders and files below ``tests``, with spaces between."""
    return Mutant(name, why, tuple(Edit(*edit) for edit in edits), tuple(tests.split()))


TORCH_FFN, NUMPY_FFN = "models/feedforward.py", "query/feedforward.py"
BATCHES, LOOP, LEDGER = "corpus/batches.py", "training/loop.py", "evaluation/ledger.py"
VOCABULARY, TRIE = "corpus/vocabulary.py", "ngram/trie.py"
OBJECTIVE = "training/objective.py"
SAMPLING, SAMPLED = "training/sampling.py", "training/sampled_losses.py"
ROWS, ROW_TABLE, WEIGHTS = "training/rows.py", "training/row_table.py", "training/weights.py"
PRECISION, SIZING, ADAPTIVE = "training/precision.py", "training/sizing.py", "models/adaptive.py"
CACHE, MIXING = "query/cache.py", "mixing.py"
INTERPOLATION, DYNAMIC = "evaluation/interpolation.py", "evaluation/dynamic.py"

MUTANTS = (
    # What is predicted, and from what.
    mutant(
        "sentence end not trained",
        "</s> dropped from the predictions of a sentence: endings are never learned",
        (BATCHES, "part.starts[sentences + 1])", "part.starts[sentences + 1] - 1)"),
        tests="training",
    ),
    mutant(
        "window one too long",
        "n words of context instead of n - 1, in torch and numpy alike, so that both agree",
        (TORCH_FFN, "window = config.order - 1\n        combined", "window = config.order\n        combined"),
        (TORCH_FFN, "seen = self.config.order - 1", "seen = self.config.order"),
        (NUMPY_FFN, "vectors = config.order - 1", "vectors = config.order"),
        (NUMPY_FFN, "(batch, config.order - 1 + ", "(batch, config.order + "),
        (NUMPY_FFN, "window = config.order - 1", "window = config.order"),
        tests="models worked",
    ),
    mutant(
        "window one word late",
        "the newest word of the window is out of sight, in torch and numpy alike",
        (TORCH_FFN, "self.embed(ids_BS[:, 1:])", "self.embed(ids_BS[:, :-1])"),
        (NUMPY_FFN, "[ids_BS[:, 1:]]", "[ids_BS[:, :-1]]"),
        tests="models",
    ),
    mutant(
        "n-gram window one too short",
        "order n counts n-grams of n - 1 words",
        ("ngram/counting.py", "for n in range(2, order + 1):", "for n in range(2, order):"),
        tests="ngram",
    ),
    mutant(
        "padding in the loss",
        "positions after the end of a short sentence are trained on",
        (OBJECTIVE, "np.flatnonzero(batch.targets_BT >= 0)", "np.flatnonzero(batch.targets_BT >= -1)"),
        (OBJECTIVE, "batch.targets_BT.ravel()[counted])", "batch.targets_BT.ravel()[counted].clip(0))"),
        tests="training",
    ),
    mutant(
        "padding of a stream in the loss",
        "a strip that is through goes on with words that others have learned from",
        (BATCHES, "ends = np.where(live, self._ends[at], starts)", "ends = self._ends[at]"),
        tests="training",
    ),
    mutant(
        "mean of the batch's own",
        "batches of a full-batch step are weighted by batch, not by prediction",
        (OBJECTIVE, "objective = total / predictions", "objective = total / batch.predictions"),
        tests="training",
    ),
    mutant(
        "stream state not carried in training",
        "each piece of a stream starts from the boundary again",
        (OBJECTIVE, "self.state = tuple(tensor.detach() for tensor in state)", "self.state = None"),
        tests="training",
    ),
    mutant(
        "stream state not carried in evaluation",
        "each piece of a stream is scored from the boundary",
        (
            "evaluation/evaluator.py",
            "model.carried_state(state, torch.from_numpy(batch.fresh_B).to(device))",
            "model.initial_state(len(batch.ids_BT))",
        ),
        tests="evaluation",
    ),
    mutant(
        "stream state not carried in numpy",
        "each piece of a stream is scored from the boundary",
        ("query/scorer.py", "if state is None or batch.fresh_B.all():", "if True:"),
        tests="evaluation",
    ),
    mutant(
        "stream read over file starts",
        "a row is fresh at its strip's start only: files of a training stream run together",
        (BATCHES, "self._fresh[at] & live", "self._fresh[at] & (step == 0)"),
        tests="training",
    ),
    mutant(
        "one fresh row freshens all",
        "where one strip reaches a new file, all the others forget what they have read",
        ("models/base.py", "bool(fresh_B.all())", "bool(fresh_B.any())"),
        tests="training",
    ),
    mutant(
        "baseline reads over file starts",
        "the n-gram baseline counts windows across files",
        ("run_folders.py", "file_starts=part.file_starts,", "file_starts=None,"),
        tests="training",
    ),
    mutant(
        "baseline of another policy",
        "a model of streams is compared with a baseline of sentences",
        ("run_folders.py", "context=config.training.context,", 'context="sentence",'),
        tests="training",
    ),
    # Training.
    mutant(
        "creeping improvements count",
        "patience measures from the best so far: a creep below the tolerance never adds up",
        (
            LOOP,
            "self.schedule.after_evaluation(progress.note_evaluation(watched, config))",
            "self.schedule.after_evaluation(progress.note_evaluation(watched, config))\n        progress.reference_nats = watched",
        ),
        tests="training",
    ),
    mutant(
        "weights lost between two writes",
        "killed after the checkpoint and before the weights: the best weights are older ones",
        (LOOP, "if self.progress.best_step == self.progress.step > 0:", "if False:"),
        tests="training",
    ),
    mutant(
        "resume forgets the generator",
        "a resumed training draws other dropout masks than an uninterrupted one",
        (
            "training/checkpoints.py",
            'generator.set_state(torch.from_numpy(np.array(file["generator"])))',
            "pass",
        ),
        tests="training",
    ),
    mutant(
        "resume forgets the place in the epoch",
        "a resumed training reads the beginning of the epoch twice",
        (LOOP, "self.batches.epoch(progress.epoch, progress.step_in_epoch)", "self.batches.epoch(progress.epoch)"),
        tests="training",
    ),
    mutant(
        "best weights not restored",
        "after the training the model holds the last weights, and the report is of those",
        (LOOP, "load_weights(self.files.weights, self.model)", "pass"),
        tests="training",
    ),
    mutant(
        "worse weights kept as best",
        "the weights of the worst evaluation are stored",
        ("training/progress.py", "watched < self.best_nats", "watched > self.best_nats"),
        tests="training",
    ),
    mutant(
        "L2 on biases",
        "biases are pulled to 0 though the penalty is on weights",
        ("models/base.py", "if p.ndim >= 2 and p.requires_grad]", "if p.requires_grad]"),
        tests="models worked",
    ),
    mutant(
        "dropout in evaluation",
        "perplexities are random and too high",
        ("evaluation/evaluator.py", "    model.eval()\n", ""),
        tests="evaluation",
    ),
    mutant(
        "no clipping",
        "--clip does nothing",
        (LOOP, "self.weights.scale_gradients(self.config.clip / norm)", "pass"),
        tests="training",
    ),
    mutant(
        "same order in every epoch",
        "sentences are not shuffled anew",
        (BATCHES, "np.random.default_rng([self.seed, epoch])", "np.random.default_rng([self.seed])"),
        tests="training",
    ),
    # Recurrence, attention, regularisation.
    mutant(
        "gates exchanged",
        "input and forget gate change places, in torch's written-out step",
        ("models/cells.py", "lstm_cell(c_BH, torch.sigmoid(i), torch.sigmoid(f)", "lstm_cell(c_BH, torch.sigmoid(f), torch.sigmoid(i)"),
        tests="models worked",
    ),
    mutant(
        "output gate sees the old cell",
        "the peephole of o reads c before the step, in torch and numpy alike",
        ("models/cells.py", "o = o + _seen(c_BH, peephole[2])", "o = o + _seen(old, peephole[2])"),
        ("models/cells.py", "    if peephole is not None:\n        i, f =", "    old = c_BH\n    if peephole is not None:\n        i, f ="),
        ("query/recurrent.py", "output = output + see(c_BH, peephole[2])", "output = output + see(state[1], peephole[2])"),
        tests="worked",
    ),
    mutant(
        "update gate the other way round",
        "z keeps what it should renew, in the written-out step",
        ("models/cells.py", "(1 - update) * candidate + update * h_BH", "update * candidate + (1 - update) * h_BH"),
        tests="models",
    ),
    mutant(
        "attention sees the future",
        "without a cache, a position sees all of its block, in torch",
        ("models/attention.py", "is_causal=visible is None", "is_causal=False"),
        tests="models worked",
    ),
    mutant(
        "scores not scaled",
        "the scores are not divided by the root of the head's size, in torch",
        ("models/attention.py", "v_RHSD, attn_mask=visible", "v_RHSD, scale=1.0, attn_mask=visible"),
        tests="models worked",
    ),
    mutant(
        "positions from 0",
        "sinusoids start one place late, in torch",
        ("models/attention.py", "torch.arange(1, count + 1,", "torch.arange(0, count,"),
        tests="worked",
    ),
    mutant(
        "dropout without scaling",
        "what is left is not made larger: means shrink in training only",
        ("models/regularisation.py", "(x * kept).mul_(1 / (1 - self.share))", "x * kept"),
        tests="training",
    ),
    mutant(
        "masks of half the bits",
        "cells of a row share their fate",
        ("models/regularisation.py", "drawn.view(torch.int16)[:cells]", "drawn.view(torch.int16)[: -(-cells // 2)].repeat_interleave(2)[:cells]"),
        tests="training",
    ),
    mutant(
        "weights never published",
        "a model in bf16 keeps computing with its first weights",
        ("training/weights.py", "self.working_P.copy_(self.master_P)", "pass"),
        tests="training",
    ),
    mutant(
        "no time for the report",
        "a budget is spent on training alone",
        ("training/length.py", "max(left - self.reserve, left / 2)", "left"),
        tests="training",
    ),
    mutant(
        "noise without a ramp",
        "--dropout-ramp has no effect",
        ("training/optimizers.py", "min(1.0, 0.2 + 0.8 * done / self.ramp) if self.ramp else 1.0", "1.0"),
        tests="training",
    ),
    mutant(
        "information that is not positive",
        "PPMI keeps negative cells",
        ("vectors/counted.py", "np.maximum(table_RC, 0, out=table_RC)", "np.maximum(table_RC, -9, out=table_RC)"),
        tests="vectors",
    ),
    mutant(
        "weight drop does nothing",
        "recurrent weights are never dropped",
        ("models/recurrent.py", "self.weight_drop(self.recurrent.weight)", "self.recurrent.weight"),
        tests="models",
    ),
    mutant(
        "the last weights kept instead of their average",
        "--average has no effect on what is stored",
        (LOOP, "        with self.average.in_place():\n            save_weights", "        if True:\n            save_weights"),
        tests="training",
    ),
    mutant(
        "unknown word generated",
        "<unk> is drawn though nobody asked for it",
        ("query/generate.py", "z_V[UNK_ID] = -np.inf", "pass"),
        tests="query",
    ),
    mutant(
        "nucleus without its last word",
        "the word that crosses the mass is cut off",
        ("query/generate.py", "best[: 1 + np.count_nonzero(", "best[: np.count_nonzero("),
        tests="query",
    ),
    # The vocabulary and the text.
    mutant(
        "min-count cut",
        "> for >=: words seen exactly c times are lost",
        (VOCABULARY, "item[1] >= config.min_count", "item[1] > config.min_count"),
        tests="artifacts worked",
    ),
    mutant(
        "size cut",
        "the specials are counted among the V words",
        (VOCABULARY, "known = known[:max_size]", "known = known[: max_size and max_size - 2]"),
        tests="artifacts worked",
    ),
    mutant(
        "tie order",
        "words of equal count in reversed order of code points: other ids",
        (
            VOCABULARY,
            "key=lambda item: (-item[1], item[0]),",
            "key=lambda item: (item[1], item[0]),\n        reverse=True,",
        ),
        tests="artifacts worked",
    ),
    mutant(
        "literal <unk> not counted in the coverage",
        "the share of unknown words of a text with <unk> is too small",
        (VOCABULARY, "total = int(cumulative[-1]) + literal", "total = int(cumulative[-1])"),
        tests="artifacts worked",
    ),
    mutant(
        "last line",
        "a last line without a newline is skipped",
        ("corpus/readers.py", "yield [last]", "del last"),
        tests="corpus",
    ),
    mutant(
        "CRLF on two blocks",
        "a line end that falls on the border of two blocks counts twice",
        ("corpus/readers.py", 'held = text.endswith("\\r")', "held = False"),
        tests="corpus",
    ),
    mutant(
        "BOM kept",
        "the first word of a file begins with an invisible character",
        ("corpus/encodings.py", "block = block[len(mark) :]", "block = block[0:]"),
        ("corpus/encodings.py", "text = text[1:]", "text = text[0:]"),
        tests="corpus",
    ),
    mutant(
        "PKU id kept",
        "19980101-01-001-001/m becomes a word of every paragraph",
        ("corpus/pku.py", "article = article or identity[1]\n            continue", "article = article or identity[1]"),
        tests="corpus",
    ),
    mutant(
        "split by sentences",
        "sentences of one document in training and validation",
        (
            "corpus/split.py",
            "changed = np.any(units[1:, [3, column]] != units[:-1, [3, column]], axis=1)",
            "changed = np.ones(sentences - 1, bool)",
        ),
        tests="artifacts",
    ),
    # The figures.
    mutant(
        "perplexity of words",
        "the mean is over words, the sum over words and sentence ends",
        (LEDGER, '"ppl": perplexity(total, predictions),', '"ppl": perplexity(total, words),'),
        tests="evaluation",
    ),
    mutant(
        "unknown words not counted",
        "the ledger says that no word is unknown",
        (LEDGER, "float(nll_N.sum()), int(is_oov.sum()), part", "float(nll_N.sum()), 0, part"),
        tests="evaluation",
    ),
    mutant(
        "OOV adjustment of the wrong sign",
        "unknown words become a gift instead of a cost",
        (LEDGER, "total + oov * math.log(unknown.types)", "total - oov * math.log(unknown.types)"),
        tests="evaluation",
    ),
    mutant(
        "unpaired bootstrap",
        "nats and predictions come from different draws of sentences",
        ("evaluation/significance.py", "row[begin:end] = column_S[drawn].sum(1)", "row[begin:end] = column_S[random.integers(0, sentences, (end - begin, sentences))].sum(1)"),
        tests="evaluation",
    ),
    # Kneser-Ney.
    mutant(
        "fixed discount",
        "order 2 discounts 0.75 whatever the counts of counts are",
        (TRIE, "notes += [note] if note else []", "discounts[1:2, 1:] = 0.75"),
        tests="ngram",
    ),
    mutant(
        "backoff of the boundary",
        "the first word of a sentence has the whole unigram mass besides its own",
        (
            TRIE,
            "tables.append(_table(table, totals, backoffs))",
            "backoffs[1 : 2 * (order == 2)] = 1.0\n        tables.append(_table(table, totals, backoffs))",
        ),
        tests="ngram",
    ),
    mutant(
        "context of the boundary",
        "the first word of a sentence is predicted as if nothing were known",
        ("ngram/counting.py", "{1: 0, 2: BOUNDARY}.get(order, -1)", "{1: 0}.get(order, -1)"),
        tests="ngram",
    ),
    mutant(
        "raw counts in lower orders",
        "Kneser-Ney without Kneser-Ney: frequencies instead of numbers of contexts",
        ("ngram/counting.py", "tables.append(Counts(keys_N, raw_N, adjusted_N))", "tables.append(Counts(keys_N, raw_N, raw_N))"),
        tests="ngram",
    ),
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
        ("vectors/nearest.py", "lengths_N = _lengths(rows_ND) * _lengths(query_D)", "lengths_N = np.full(len(rows_ND), _lengths(query_D))"),
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
        ("vectors/analogy_search.py", "high_UB = shifted_UB + self._slack", "high_UB = shifted_UB - self._slack"),
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
    # The training engine: losses that sample.
    mutant(
        "sampler: highest number is not among those that draw",
        "the rarest words, of one part in 2^16, are never drawn",
        (SAMPLING, "self._bits(generator) <= self._highest_V", "self._bits(generator) < self._highest_V"),
        tests="training/test_sampling.py",
    ),
    mutant(
        "sampler: a prediction among its own others",
        "N for N - 1 others: a target makes itself likelier to be there",
        (SAMPLING, "max(len(targets_N) - 1, 0)", "len(targets_N)"),
        tests="training/test_sampling.py",
    ),
    mutant(
        "sampler: too many words always in",
        "c of one certain word less: the mean of the draws is not the number of samples",
        (SAMPLING, "scale = c[fits[0]] if len(fits)", "scale = c[fits[0] - 1] if len(fits)"),
        tests="training/test_sampling.py",
    ),
    mutant(
        "sampled softmax without its correction",
        "drawn words count as they are: frequent words too much",
        (SAMPLED, "self.lookup, -sample.log_present_C)", "self.lookup, 0 * sample.log_present_C)"),
        tests="training/test_sampled_losses.py",
    ),
    mutant(
        "sampled softmax corrects for draws alone",
        "that targets of others bring words into the step is forgotten",
        (SAMPLED, "self.lookup, -sample.log_present_C)", "self.lookup, -sample.log_pi_C)"),
        (SAMPLED, "own_N = sample.log_present_C[", "own_N = sample.log_pi_C["),
        tests="training/test_sampled_losses.py",
    ),
    mutant(
        "sampled softmax corrects the target",
        "rare targets look likely, in the loss and its gradient",
        (SAMPLED, "own_N = sample.log_present_C[sample.place_N]", "own_N = 0 * sample.log_present_C[sample.place_N]"),
        tests="training/test_sampled_losses.py",
    ),
    mutant(
        "noise of the wrong sign",
        "log pi added to the scores instead of subtracted",
        (SAMPLED, "offset_C = -sample.log_pi_C - self.log_z", "offset_C = sample.log_pi_C - self.log_z"),
        tests="training/test_sampled_losses.py",
    ),
    mutant(
        "target is noise",
        "a target that was not drawn is pushed down as if it had been",
        (SAMPLED, "ratio_NC.masked_fill_(~drawn_C, -math.inf)", "pass"),
        tests="training/test_sampled_losses.py",
    ),
    mutant(
        "drawn target only pulled",
        "a drawn target is no noise for its own prediction: Z is no longer 1",
        (SAMPLED, "pull_N.to(delta_NC.dtype), accumulate=True)", "pull_N.to(delta_NC.dtype))"),
        tests="training/test_sampled_losses.py",
    ),
    # The training engine: tables by rows.
    mutant(
        "rows: momentum stops with the last use",
        "the closed form without its sum: a waiting row does not move on",
        (ROW_TABLE, "        w_RD.addcdiv_(step_RD, v_RD.sqrt().add_(floor_R.float()[:, None]), value=-1)\n", ""),
        tests="training/test_rows.py",
    ),
    mutant(
        "rows: waiting rows do not decay",
        "weight decay acts on the rows of a step alone",
        (ROW_TABLE, "index_select(0, rows_R).mul_(kept_R.float()[:, None])", "index_select(0, rows_R)"),
        tests="training/test_rows.py",
    ),
    mutant(
        "rows: powers of b1 one step late",
        "the first step of the wait counts as no step",
        (ROW_TABLE, "torch.arange(MOST_STEPS, 0, -1,", "torch.arange(MOST_STEPS - 1, -1, -1,"),
        tests="training/test_rows.py",
    ),
    mutant(
        "rows: bias correction forgotten in the wait",
        "the mean of gradients counts too little in the first steps",
        (ROW_TABLE, "rate = lr * root / (1 - BETA1**self.steps)", "rate = lr * root"),
        tests="training/test_rows.py",
    ),
    mutant(
        "rows: moments wait, too",
        "the mean of squares does not run out while a row is not used",
        (ROW_TABLE, "v_RD.mul_((BETA2**gone_R1).float())", "v_RD"),
        tests="training/test_rows.py",
    ),
    mutant(
        "rows: eps without its root",
        "a row of nearly no gradient hardly moves in the first waits",
        (ROW_TABLE, "alpha=rate * root)", "alpha=rate)"),
        tests="training/test_rows.py",
    ),
    mutant(
        "rows: last of several look-ups",
        "a word that comes twice in a step has the gradient of one place",
        (ROW_TABLE, "self.gradient_RD.index_add_(0, at_N,", "self.gradient_RD.index_copy_(0, at_N,"),
        tests="training/test_rows.py",
    ),
    mutant(
        "rows: words looked up as they were",
        "a step reads word vectors from before the wait",
        (ROWS, "words.refresh(ids[0]) if module.training else None", "None"),
        tests="training/test_rows.py",
    ),
    mutant(
        "rows: output rows looked up as they were",
        "a loss that samples scores with rows from before the wait",
        (ROWS, "        table.refresh(ids_C)\n", ""),
        tests="training/test_rows.py",
    ),
    mutant(
        "rows: matrix of a full softmax by rows",
        "a tied table, all of which has a gradient, is taken for one of some rows",
        (ROWS, '"embedding.weight": sampled or not tied', '"embedding.weight": True'),
        tests="training/test_rows.py",
    ),
    mutant(
        "rows: settled one step late",
        "the history runs over its end",
        (ROW_TABLE, "return self.elapsed == len(self.kept_S) - 1", "return self.elapsed == len(self.kept_S)"),
        tests="training/test_rows.py",
    ),
    mutant(
        "weights: norm without the rows",
        "clipping sees the gradient of the flat weights alone",
        (WEIGHTS, "(self.gradient_P, *self.rows.gradients))", "(self.gradient_P,))"),
        tests="training/test_rows.py",
    ),
    mutant(
        "weights: rows not clipped",
        "a large gradient is cut in the flat weights alone",
        (WEIGHTS, "*(self.rows.gradients if self.rows else ()))", ")"),
        tests="training/test_rows.py",
    ),
    mutant(
        "weights: evaluated before the rows are up to date",
        "figures and files are of rows that still wait",
        (WEIGHTS, "            self.rows.settle()\n", "            pass\n"),
        tests="training/test_rows.py",
    ),
    mutant(
        "weights: gradient of the step before",
        "a weight that a step does not use moves as in the last one that did",
        (WEIGHTS, "sum_.zero_()", "pass"),
        tests="training/test_precision.py",
    ),
    mutant(
        "weights: gradient of the last batch alone",
        "in bf16 a step of several batches learns from its last one",
        (WEIGHTS, "sum_.add_(gradient)", "sum_.copy_(gradient)"),
        tests="training/test_precision.py",
    ),
    mutant(
        "weights: frozen vectors stay rounded",
        "the file of a training in bf16 holds other vectors than those given",
        (WEIGHTS, "        self._point_to(self.master_P)\n        for tensor, exact in self._frozen.values():\n            tensor.data = exact\n\n    def as_computed", "        self._point_to(self.master_P)\n\n    def as_computed"),
        tests="training/test_precision.py",
    ),
    mutant(
        "weights: rounded inside evaluation",
        "evaluation in training is in bf16, that of the file in fp32",
        (WEIGHTS, "            yield\n            return\n        self._point_to(self.master_P)", "            yield\n            return\n        self._point_to(self.working_P)"),
        tests="training/test_precision.py",
    ),
    # The training engine: number formats and sizes.
    mutant(
        "precision: bf16 for GPUs that emulate it",
        "compute capability 7 has no bf16 products",
        (PRECISION, ">= (8, 0)", ">= (7, 0)"),
        tests="training/test_precision.py",
    ),
    mutant(
        "precision: goes on in what the device lacks",
        "a training from another machine goes on in slow, emulated bf16",
        (PRECISION, ' and (able or began_in == "fp32")', ""),
        tests="training/test_precision.py",
    ),
    mutant(
        "precision: widths of tied and untied exchanged",
        "large models in fp32 and small ones in bf16",
        (PRECISION, "config.dim if config.tie else config.hidden", "config.hidden if config.tie else config.dim"),
        tests="training/test_precision.py",
    ),
    mutant(
        "sizing: first core counted twice",
        "one core is taken for nearly two",
        (SIZING, "min(cores, MOST_CORES) - 1 if", "min(cores, MOST_CORES) if"),
        tests="training/test_sizing.py",
    ),
    mutant(
        "sizing: rate rises with the width",
        "wide models diverge, narrow ones crawl",
        (SIZING, "(512 / width) ** 0.5", "(width / 512) ** 0.5"),
        tests="training/test_sizing.py",
    ),
    mutant(
        "sizing: noise from the first pass on",
        "dropout where no word is seen twice",
        (SIZING, "max(0.0, passes - 1) / (NOISY_PASSES - 1)", "max(0.0, passes) / NOISY_PASSES"),
        tests="training/test_sizing.py",
    ),
    mutant(
        "sizing: wider than the text",
        "only the time bounds the width: ten minutes of ten thousand words learned by heart",
        (SIZING, "if width * width <= tokens", "if width <= tokens"),
        tests="training/test_sizing.py",
    ),
    mutant(
        "sizing: sentences without their ends",
        "a step holds more predictions than it should",
        (SIZING, "sentence_tokens + 1)", "sentence_tokens)"),
        tests="training/test_sizing.py",
    ),
    # Adaptive softmax.
    mutant(
        "clusters: first word in the one before",
        "cutoffs are taken for last words instead of numbers of words",
        (ADAPTIVE, "inner, right=True)", "inner, right=False)"),
        tests="models/test_contract.py query/test_output.py",
    ),
    mutant(
        "clusters: rows in reversed order",
        "training chooses the last cluster where the first is meant",
        (ADAPTIVE, "head - 1 + cluster_N)", "head + len(tails) - cluster_N)"),
        tests="models/test_contract.py",
    ),
    mutant(
        "clusters: as likely as one word",
        "without the logarithm of their sizes, in torch and numpy alike",
        (ADAPTIVE, "sizes_K = rows[0].new_tensor(self._log_sizes)", "sizes_K = 0 * rows[0].new_tensor(self._log_sizes)"),
        ("query/output.py", "cluster_bias = np.log(sizes).astype(rows.dtype)", "cluster_bias = np.zeros(len(sizes), rows.dtype)"),
        tests="models/test_contract.py query/test_output.py",
    ),
    mutant(
        "clusters: not projected in training",
        "the loss sees the state itself, evaluation its projection",
        (ADAPTIVE, "hidden_MD = projection(hidden_ND.index_select(0, rows_M))", "hidden_MD = projection(hidden_ND).index_select(0, rows_M.flip(0))"),
        tests="models/test_contract.py",
    ),
    # Mixtures, caches, weights that follow the text.
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


def main() -> int:
    """Ask the tests about every mutant; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all-tests", action="store_true", help="the whole default suite for each")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="mutants with a word in the name")
    parser.add_argument("--workers", type=int, default=2, help="mutants at a time (default 2)")
    parser.add_argument("--list", action="store_true", help="list the mutants and do nothing")
    options = parser.parse_args()
    mutants = [
        m for m in MUTANTS if not options.only or any(word in m.name for word in options.only)
    ]
    if options.list:
        for m in mutants:
            print(f"{m.name:40}  {m.why}")
        return 0
    if not mutants:
        parser.error(f"no mutant has {' or '.join(options.only)} in its name")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nplm-mutants-") as folder:
        status = _ask_all(mutants, Path(folder), options.all_tests, options.workers)
    print(f"{time.monotonic() - began:.0f} s")
    return status


def _ask_all(mutants: list[Mutant], folder: Path, all_tests: bool, workers: int) -> int:
    # One copy of everything, from which all others are made: the checkout may change meanwhile.
    plain = folder / "plain"
    shutil.copytree(ROOT, plain, ignore=shutil.ignore_patterns(*NOT_COPIED))
    _check_that_the_copy_is_tested(plain)
    asked = ["tests"] if all_tests else sorted({t for m in mutants for t in _paths(m.tests)})
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(lambda path: _pytest(plain, [path], keep_going=True), asked))
        for code, output in results:
            if code not in (0, PYTEST_FOUND_FAILURES):
                print(output)
                print("the tests do not run without a mutant")
                return 1
        failing = sorted({test for _, output in results for test in _failures(output)})
        for test in failing:
            print(f"fails without a mutant, left out: {test}")
        jobs = {
            pool.submit(_ask, m, plain, folder / f"mutant-{i}", all_tests, failing): m
            for i, m in enumerate(mutants)
        }
        verdicts = {}
        for job in concurrent.futures.as_completed(jobs):
            verdict, detail = verdicts[jobs[job].name] = job.result()
            print(f"{verdict:9}{jobs[job].name}: {detail}", flush=True)
    killed = sum(verdict == "killed" for verdict, _ in verdicts.values())
    print(f"{killed} of {len(mutants)} mutants killed")
    for m in mutants:
        if verdicts[m.name][0] == "survived":
            print(f"SURVIVED {m.name} ({', '.join(e.file for e in m.edits)}): {m.why}")
    return int(killed < len(mutants) or bool(failing))


def _ask(
    m: Mutant, plain: Path, copy: Path, all_tests: bool, failing: list[str]
) -> tuple[str, str]:
    """Return killed, survived or unfit, and by which test or why."""
    for edit in m.edits:
        path = plain / "src" / "nplm_cli" / edit.file
        found = path.read_text("utf-8").count(edit.old) if path.exists() else 0
        if found != 1:
            return "unfit", f"{edit.file} holds {found} times {edit.old!r}"
    shutil.copytree(plain, copy)
    try:
        for edit in m.edits:
            path = copy / "src" / "nplm_cli" / edit.file
            path.write_text(path.read_text("utf-8").replace(edit.old, edit.new), "utf-8")
        return _judge(m, plain, copy, ["tests"] if all_tests else _paths(m.tests), failing)
    finally:
        shutil.rmtree(copy)


def _judge(
    m: Mutant, plain: Path, copy: Path, tests: list[str], failing: list[str]
) -> tuple[str, str]:
    left_out = list(failing)
    while True:
        try:
            code, output = _pytest(copy, tests, left_out=left_out)
        except subprocess.TimeoutExpired:
            return "killed", f"no end within {LIMIT_SECONDS} s"
        if code == 0:
            return "survived", m.why
        found = _failures(output)
        if code != PYTEST_FOUND_FAILURES or not found:
            # A copy that cannot even be imported proves nothing about the tests.
            return "unfit", (output.strip().splitlines() or [f"pytest: {code}"])[-1]
        if _pytest(plain, found[:1])[0] == 0:
            return "killed", found[0]
        left_out.append(found[0])  # it fails by itself now and then


def _paths(tests: tuple[str, ...]) -> list[str]:
    return [f"tests/{name}" for name in tests]


def _environment(copy: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(copy / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }


def _check_that_the_copy_is_tested(copy: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import nplm_cli; print(nplm_cli.__file__)"],
        env=_environment(copy),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if not Path(found).resolve().is_relative_to(copy.resolve()):
        sys.exit(f"nplm_cli comes from {found}, not from the copy in {copy}: mutants prove nothing")


def _pytest(
    copy: Path, tests: list[str], *, keep_going: bool = False, left_out: list[str] | None = None
) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "-rfE"]
    command += ["--hypothesis-seed=1", *([] if keep_going else ["-x"])]
    command += [f"--deselect={test}" for test in left_out or []]
    done = subprocess.run(
        [*command, *tests],
        cwd=copy,
        env=_environment(copy),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _failures(output: str) -> list[str]:
    """Tests (or files that could not be collected) that the summary of pytest names."""
    return [found[1] for found in re.finditer(r"^(?:FAILED|ERROR) (tests/\S+?\.py(?:::.*?)?)(?: - .*)?$", output, re.M)]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
