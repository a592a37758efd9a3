"""Activation functions and their slopes, by the functions that models use and by autograd."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nplm_cli.bilingual import Language, Text
from nplm_cli.errors import ConfigError, did_you_mean
from nplm_cli.plots.figure import Plot, frame
from nplm_cli.reports.svg import model_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REACH, POINTS = 5.0, 201
SIZE = (560.0, 270.0)
TITLE = Text("Activation functions and their slopes", "激活函数及其导数")


def activations(names: Sequence[str], lang: Language) -> Plot:
    """f(z) and f'(z) from -5 to 5 of some activations (none named: all). Raises ConfigError."""
    import torch

    from nplm_cli.lessons.small_models import slope
    from nplm_cli.models.activations import ACTIVATIONS

    for name in names:
        if name not in ACTIVATIONS:
            raise ConfigError(
                f"no activation {name!r:.40}: expected some of {', '.join(ACTIVATIONS)}"
                f"{did_you_mean(name, ACTIVATIONS)}"
            )
    chosen = list(dict.fromkeys(names)) or list(ACTIVATIONS)
    z = torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64)
    curves = {
        name: {"f": ACTIVATIONS[name](z).tolist(), "slope": slope(name, z).tolist()}
        for name in chosen
    }

    def paint(figure: "Figure") -> None:
        for side, (key, label) in enumerate(
            (("f", "f(z)"), ("slope", Text("slope f'(z)", "导数 f'(z)").within(lang)))
        ):
            axes = frame(figure, SIZE, (48 + 264 * side, 34, 222, 190))
            for number, name in enumerate(ACTIVATIONS):
                if name in curves:
                    axes.plot(z.tolist(), curves[name][key], color=model_colour(number), label=name)
            axes.set_xlabel("z")
            axes.set_ylabel(label, labelpad=2)
            axes.set_ylim((-1.3, 2.6) if key == "f" else (-0.2, 1.2))
            if key == "f":
                axes.legend(frameon=False, loc="upper left")

    return Plot(
        "activations", TITLE.within(lang), TITLE.within(lang), SIZE,
        {"z": z.tolist(), "activations": curves}, paint,
    )  # fmt: skip
