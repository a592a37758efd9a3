"""The training engine: losses that sample, tables by rows, number formats, sizes."""

from mutant import mutant

SAMPLING = "training/sampling.py"
SAMPLED = "training/sampled_losses.py"
ROWS = "training/rows.py"
ROW_TABLE = "training/row_table.py"
WEIGHTS = "training/weights.py"
PRECISION = "training/precision.py"
SIZING = "training/sizing.py"
ADAPTIVE = "models/adaptive.py"

MUTANTS = (
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
        (SAMPLED, "ratio_MC.masked_fill_(~drawn_C, -math.inf)", "pass"),
        tests="training/test_sampled_losses.py",
    ),
    mutant(
        "drawn target only pulled",
        "a drawn target is no noise for its own prediction: Z is no longer 1",
        (SAMPLED, "pull_M.to(delta_MC.dtype), accumulate=True)", "pull_M.to(delta_MC.dtype))"),
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
        "precision: looked up word vectors count",
        "a small model with a large vocabulary in bf16, though nothing in it multiplies much",
        (PRECISION, "looked_up = () if config.tie else", "looked_up = () if not config.tie else"),
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
        "sizing: a slow rise of the noise",
        "with little dropout for many passes an hour's training learns the text by heart",
        (SIZING, "min(_rising(arch), RISING_PASSES / max(passes, 1))", "_rising(arch)"),
        tests="training/test_sizing.py",
    ),
    mutant(
        "sizing: the user's loss ignored",
        "a full softmax over a large vocabulary is sized as if it were one over samples",
        (SIZING, "config if KINDS[4] & set(given) else config.replace(**softmax)", "config.replace(**softmax)"),
        tests="training/test_sizing.py",
    ),
    mutant(
        "training losses under rising noise compared",
        "without validation text the weights of the first, easy part are delivered",
        ("training/progress.py", "if by_training and self.interval_noise < 1:", "if False:"),
        tests="training/test_loop.py",
    ),
    mutant(
        "longer training, old patience",
        "a lengthened training ends after two evaluations at its new, higher rate",
        ("training/loop.py", "            self.progress.reference_nats = None\n", ""),
        tests="training/test_resume.py",
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
)  # fmt: skip
