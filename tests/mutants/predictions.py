"""What is predicted, from what, and how it is trained."""

from mutant import mutant

TORCH_FFN = "models/feedforward.py"
NUMPY_FFN = "query/feedforward.py"
BATCHES = "corpus/batches.py"
LOOP = "training/loop.py"
OBJECTIVE = "training/objective.py"

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
        (TORCH_FFN, "ids_BS = ids_BS[:, 1:]", "ids_BS = ids_BS[:, :-1]"),
        (NUMPY_FFN, "np.unique(ids_BS[:, 1:]", "np.unique(ids_BS[:, :-1]"),
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
            "self.schedule.after_evaluation(improved)",
            "self.schedule.after_evaluation(improved)\n        progress.reference_nats = watched",
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
)  # fmt: skip
