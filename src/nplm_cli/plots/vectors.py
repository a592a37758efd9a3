"""A map of word vectors on a plane, by PCA or t-SNE."""

from pathlib import Path
from typing import TYPE_CHECKING

from nplm_cli.bilingual import Language, Text
from nplm_cli.errors import ConfigError, UnknownWordError, did_you_mean
from nplm_cli.plots.figure import Plot
from nplm_cli.query.run import Run
from nplm_cli.reports.map_figures import MAP_SIZE, Frame, place_label
from nplm_cli.reports.svg import COLOURS, model_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

METHODS = {"pca": "PCA", "tsne": "t-SNE"}
TITLE_ROOM = 26.0


def vectors(
    folder: Path, words: "Sequence[str]", top: int, method: str, seed: int, lang: Language
) -> Plot:
    """Words of a run (the ``top`` most frequent unless named), close together where alike.

    Raises UnknownWordError for a word that the run does not know.
    """
    from nplm_cli.reports.projection import maps

    run = Run(folder)
    keyed = run.keyed_vectors()
    chosen = list(dict.fromkeys(map(run.spelled, words))) or run.vocabulary.tokens[2 : top + 2]
    for word in chosen:
        if word not in run.vocabulary:
            near = did_you_mean(word, run.vocabulary.tokens)
            raise UnknownWordError(f"{word!r} is not in the vocabulary of {folder}{near}")
    if len(chosen) < 2:
        raise ConfigError("a map needs at least two words: name more with --words")
    rows = [run.vocabulary.index[word] for word in chosen]
    found = maps(keyed.vectors[rows], seed)
    points = found[method]
    if not points:
        raise ConfigError(f"t-SNE needs at least 5 different vectors, found {len(chosen)}")
    size = (MAP_SIZE[0], MAP_SIZE[1] + TITLE_ROOM)

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((0, 0, 1, MAP_SIZE[1] / size[1]))
        axes.set_axis_off()
        axes.set_xlim(0, MAP_SIZE[0])
        axes.set_ylim(0, MAP_SIZE[1])
        place = Frame(points)
        at = [place(x, y) for x, y in points]
        axes.plot(*zip(*at, strict=True), "o", color=model_colour(0), ms=4, mew=0)
        taken = [(x - 2, y - 2, x + 2, y + 2) for x, y in at]
        for word, point in zip(chosen, at, strict=True):
            place_label(axes, word, point, taken, bold=bool(words))
        if method == "pca":
            shares = " + ".join(f"{share:.0%}" for share in found["pca_explained"])
            axes.text(MAP_SIZE[0] - 6, 5, shares, ha="right", size=8.5, color=COLOURS["muted"])

    title = Text(f"Word vectors ({METHODS[method]})", f"词向量（{METHODS[method]}）").within(lang)
    record = {"run": str(folder), "method": method, "seed": seed, "words": chosen, "points": points}
    record["explained"] = found["pca_explained"] if method == "pca" else None
    return Plot("vectors", title, title, size, record, paint)
