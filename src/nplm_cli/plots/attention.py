"""Attention maps: which words each head of each layer looks at."""

from pathlib import Path
from typing import TYPE_CHECKING

from nplm_cli.bilingual import Language, Text
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.errors import ConfigError
from nplm_cli.plots.figure import Plot, colour_bar, frame, heat, turned
from nplm_cli.plots.reading import labels, open_run, read_text
from nplm_cli.query.predict import Prompt
from nplm_cli.reports.svg import label_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Square points: as PNG some 90 million pixels.
LARGEST = 12e6
TITLE = Text("Attention", "注意力")
DESCRIPTION = Text(
    "Row: the word that is read; column: the word it looks at. Each row sums to 1.",
    "行：正在读的词；列：它所看的词。每行之和为 1。",
)


def attention(
    folder: Path, text: str, lang: Language, layer: int | None = None
) -> tuple[Plot, Prompt]:
    """Weights of every head of a layer (from 1; None: of all) over the boundary and a text.

    Raises ArtifactError for an architecture without attention, ConfigError for a text that is
    longer than the window, a layer that is not there and a figure that would be too large.
    """
    import torch

    from nplm_cli.explain.network.reading import open_network
    from nplm_cli.models.attention import AttendingLM

    run = open_run(folder, ("attention", "transformer"), "attention maps")
    if layer is not None and not 1 <= layer <= run.config.model.layers:
        raise ConfigError(f"--layer {layer}: {folder} has {run.config.model.layers}")
    prompt = read_text(run, text)
    model = open_network(run)
    assert isinstance(model, AttendingLM)
    ids_1T = torch.tensor([[EOS_ID, *prompt.ids]])
    with torch.no_grad():
        layers = [a_BHTT[0].tolist() for a_BHTT in model.attention_weights(ids_1T)]
    first = layer or 1
    layers = layers if layer is None else [layers[layer - 1]]
    words = labels(prompt)
    side = max(96.0, 15.0 * len(words))
    margin = 12 + max(label_size(word, 9.5)[0] for word in words)
    cell = (side + margin + 10, side + margin + 26)
    size = (len(layers[0]) * cell[0] + 60, len(layers) * cell[1] + 40)
    if size[0] * size[1] > LARGEST:
        raise ConfigError(
            f"{len(layers)} x {len(layers[0])} maps of {len(words)} words are too large a figure: "
            "give a shorter text" + ("" if layer or len(layers) == 1 else " or --layer N")
        )

    def paint(figure: "Figure") -> None:
        for row, heads in enumerate(layers):
            for column, values in enumerate(heads):
                box = (margin + column * cell[0], 46 + row * cell[1], side, side)
                axes = frame(figure, size, box)
                mesh = heat(axes, values, 0, 1, rows=words, columns=words)
                turned(axes)
                name = Text(
                    f"layer {first + row}, head {column + 1}",
                    f"第 {first + row} 层，第 {column + 1} 头",
                )
                axes.set_title(name.within(lang), size=9.5, pad=4)
        colour_bar(figure, mesh, size, (size[0] - 44, 46, 10, side))

    record = {"run": str(folder), "layer": layer, "words": words, "layers": layers}
    title, description = TITLE.within(lang), DESCRIPTION.within(lang)
    return Plot("attention", title, description, size, record, paint), prompt
