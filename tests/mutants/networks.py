"""Recurrence, attention, regularisation."""

from mutant import mutant

LOOP = "training/loop.py"

MUTANTS = (
    mutant(
        "gates exchanged",
        "input and forget gate change places, in torch's written-out step",
        ("models/cells.py", "lstm_cell(c_BH, i, f, g)", "lstm_cell(c_BH, f, i, g)"),
        tests="models worked",
    ),
    mutant(
        "output gate sees the old cell",
        "the peephole of o reads c before the step, in torch and numpy alike",
        ("models/cells.py", "o = o + _seen(c_BH, peephole[2])", "o = o + _seen(old, peephole[2])"),
        ("models/cells.py", "    if peephole is not None:\n        i, f =", "    old = c_BH\n    if peephole is not None:\n        i, f ="),
        ("query/recurrent.py", "output += see(c_BH, peephole[2])", "output += see(state[1], peephole[2])"),
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
)  # fmt: skip
