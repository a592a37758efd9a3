"""Learning curves of runs: perplexity by tokens, seconds or epochs, beside Kneser-Ney."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nplm_cli.artifacts import is_figure, read_json_lines
from nplm_cli.bilingual import Language, Text
from nplm_cli.errors import ArtifactError
from nplm_cli.plots.figure import Plot, frame
from nplm_cli.query.run import Run
from nplm_cli.reports.svg import COLOURS, MARKERS, model_colour
from nplm_cli.reports.words import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (560.0, 340.0)
TITLE = Text("Learning curves", "学习曲线")
DESCRIPTION = Text(
    "Perplexity while training: dashed on the training text, solid on the validation text.",
    "训练中的困惑度：虚线为训练集，实线为验证集。",
)
BY = {
    "tokens": Text("tokens read", "已训练的词数"),
    "seconds": Text("seconds", "秒"),
    "epochs": Text("epochs", "轮"),
}


def curves(folders: Sequence[Path], by: str, lang: Language) -> Plot:
    """Perplexities of each evaluation of some runs, ``by`` one of ``BY``.

    Raises ArtifactError where a run has no evaluations on record, damaged ones alone, or no
    perplexity that a logarithmic axis has a place for.
    """
    names = _names(folders)
    found = [_curve(folder, name, by) for folder, name in zip(folders, names, strict=True)]

    legend = 16 * -(-len(found) // 3)
    size = (SIZE[0], SIZE[1] + legend - 16)

    def paint(figure: "Figure") -> None:
        from nplm_cli.reports.figures import plain_log

        axes = frame(figure, size, (58, 30 + legend, 480, 250))
        axes.set_yscale("log")
        figures, baselines = [], {}
        for number, run in enumerate(found):
            colour, marker = model_colour(number), MARKERS[number % len(MARKERS)]
            for key, dashes in (("train_ppl", "--"), ("valid_ppl", "-")):
                points = [(p[by], p[key]) for p in run["points"] if p[key]]
                if points:
                    only = key == "valid_ppl" or not any(p["valid_ppl"] for p in run["points"])
                    axes.plot(
                        *zip(*points, strict=True), dashes, color=colour, ms=4,
                        marker=marker if only else None,
                        lw=1.5 if only else 1.0,
                        label=shown(run["run"]) if only else None,
                    )  # fmt: skip
                    figures += [y for _, y in points]
            if run["kneser_ney"]:
                baselines[run["kneser_ney"]["ppl"]] = run["kneser_ney"]["order"]
        for level, order in sorted(baselines.items()):
            axes.axhline(level, color=COLOURS["muted"], ls=(0, (4, 3)), lw=1.1)
            axes.text(
                1, level, f"Kneser–Ney {order or ''}".strip(), size=9, color=COLOURS["muted"],
                ha="right", va="bottom", transform=axes.get_yaxis_transform(),
            )  # fmt: skip
        plain_log(axes, figures + list(baselines), axis="y")
        axes.set_xlabel(BY[by].within(lang))
        axes.set_ylabel(Text("perplexity", "困惑度").within(lang))
        axes.ticklabel_format(axis="x", style="plain", useOffset=False)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=9)

    record = {"by": by, "runs": found}
    return Plot("curves", TITLE.within(lang), DESCRIPTION.within(lang), size, record, paint)


def _names(folders: Sequence[Path]) -> list[str]:
    """Names of folders; whole paths where two are alike."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _curve(folder: Path, name: str, by: str) -> dict[str, Any]:
    run = Run(folder)
    run.require_single()
    if not run.config.model.neural:
        raise ArtifactError(f"{folder}: counts are made at once and have no learning curve")
    key = "epoch" if by == "epochs" else by
    points = [
        {
            by: record[key],
            "train_ppl": record.get("train_ppl"),
            "valid_ppl": record.get("valid_ppl"),
        }
        for _, record in read_json_lines(folder / "metrics.jsonl")
        if is_figure(record.get(key))
        and all(r is None or is_figure(r) for r in map(record.get, ("train_ppl", "valid_ppl")))
    ]
    metrics = folder / "metrics.jsonl"
    if not points and metrics.is_file() and metrics.stat().st_size:
        raise ArtifactError(
            f"{metrics}: damaged: no line holds {key} and perplexities that are numbers from 0 "
            "on: train the run again"
        )
    if not points:
        raise ArtifactError(
            f"{metrics}: no evaluations on record: train to the first one "
            f"(nplm train --resume -o {folder})"
        )
    if not any(point["train_ppl"] or point["valid_ppl"] for point in points):
        raise ArtifactError(
            f"{metrics}: no perplexity above 0, and the axis is logarithmic: train the run again"
        )
    return {"run": name, "arch": run.arch, "points": points, "kneser_ney": _kneser_ney(run)}


def _kneser_ney(run: Run) -> dict[str, Any] | None:
    """Perplexity and order of the baseline in the ledger; None where that has no such figure."""
    found: Any = run.report()
    for key in ("valid", "baselines", "kneser_ney"):
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not is_figure(found.get("ppl")) or not found["ppl"]:
        return None
    return {"ppl": found["ppl"], "order": found.get("order")}
