"""Gates and state of an LSTM or GRU, word by word (``models/cells.py``)."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from nplm_cli.bilingual import Language, Text
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.errors import ConfigError
from nplm_cli.explain.sections_encoder import GATES, SHARES
from nplm_cli.plots.figure import Plot, colour_bar, frame, heat, turned
from nplm_cli.plots.reading import labels, open_run, read_text
from nplm_cli.query.predict import Prompt
from nplm_cli.reports.svg import MARKERS, model_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = Text("Gates and state, word by word", "逐词的门与状态")
DESCRIPTION = Text(
    "Above the mean of each gate over the units, with the middle 80 % of them; below the state h "
    "of the units that change most.",
    "上图：各门在所有单元上的平均值及中间 80 % 的范围；下图：变化最大的单元的状态 h。",
)
UNITS = 16


def gates(folder: Path, text: str, layer: int, lang: Language) -> tuple[Plot, Prompt]:
    """Gates, cell and state of all units of a layer (from 1) after each word of a text.

    Raises ArtifactError for other architectures, ConfigError for a layer that is not there.
    """
    import torch

    from nplm_cli.explain.network.layers import recurrent_steps
    from nplm_cli.explain.network.reading import open_network
    from nplm_cli.models.recurrent import RecurrentLM

    run = open_run(folder, ("lstm", "gru"), "gates")
    if not 1 <= layer <= run.config.model.layers:
        raise ConfigError(f"--layer {layer}: {folder} has {run.config.model.layers}")
    prompt = read_text(run, text)
    with torch.no_grad():
        model = open_network(run)
        assert isinstance(model, RecurrentLM)
        x_TE = model.embedding.weight[[EOS_ID, *prompt.ids]]
        found = next(itertools.islice(recurrent_steps(model, x_TE), layer - 1, None))
    steps = {key: torch.cat([step[key] for step in found]) for key in found[0]}
    words = labels(prompt)
    values = {key: tensor.tolist() for key, tensor in steps.items()}
    shown = [key for key in SHARES if key in steps]
    h_TH = steps["h"]
    units = h_TH.std(0, correction=0).argsort(descending=True, stable=True)[:UNITS].sort()[0]
    reach = float(h_TH.abs().max()) or 1.0
    width = max(300.0, 26.0 * len(words))
    size = (width + 130, 470.0)

    def paint(figure: "Figure") -> None:
        axes = frame(figure, size, (56, 34, width, 150))
        places = [t + 0.5 for t in range(len(words))]
        for number, key in enumerate(shown):
            colour, gate_TH = model_colour(number), steps[key]
            low, high = (gate_TH.quantile(q, dim=1).tolist() for q in (0.1, 0.9))
            axes.fill_between(places, low, high, fc=colour, alpha=0.13, ec="none")
            axes.plot(
                places, gate_TH.mean(1).tolist(), color=colour, marker=MARKERS[number], ms=4,
                label=GATES[key].within(lang),
            )  # fmt: skip
        axes.set_xlim(0, len(words))
        axes.set_ylim(0, 1)
        axes.set_xticks(places, [""] * len(words))
        axes.legend(frameon=False, loc="upper left", ncols=3, bbox_to_anchor=(0, -0.01), fontsize=9)
        below = frame(figure, size, (56, 212, width, 190))
        rows = [str(int(unit) + 1) for unit in units]
        mesh = heat(below, h_TH[:, units].T.tolist(), -reach, reach, rows=rows, columns=words)
        below.tick_params(axis="y", labelsize=8)
        below.set_ylabel(Text("state h of unit", "单元的状态 h").within(lang))
        turned(below)
        colour_bar(figure, mesh, size, (width + 72, 212, 10, 190))

    record = {"run": str(folder), "arch": run.arch, "layer": layer, "words": words}
    record |= {"shown_units": [int(u) for u in units], "steps": values}
    title, description = TITLE.within(lang), DESCRIPTION.within(lang)
    return Plot("gates", title, description, size, record, paint), prompt
