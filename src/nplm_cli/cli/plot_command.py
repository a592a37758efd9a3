"""``nplm plot``: the lectures' figures as SVG or PNG, or their numbers as JSON."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nplm_cli.bilingual import Language, Text
from nplm_cli.cli import output
from nplm_cli.cli.arguments import Lang, chosen_language, tell_prompt
from nplm_cli.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from nplm_cli.plots.figure import Plot

# What each kind draws, its arguments, and its options.
KINDS: dict[str, tuple[Text, str, tuple[str, ...]]] = {
    "activations": (Text("activation functions and slopes", "激活函数及其导数"), "", ("set",)),
    "xor": (Text("decision regions for XOR", "异或的决策区域"), "", ("seed",)),
    "curves": (Text("learning curves of runs", "学习曲线"), "RUN...", ("by",)),
    "attention": (Text("attention maps", "注意力图"), "RUN TEXT", ("layer",)),
    "gates": (Text("gates and state of an LSTM or GRU", "LSTM 或 GRU 的门与状态"), "RUN TEXT",
              ("layer",)),
    "positions": (Text("sinusoidal positions", "正弦位置编码"), "", ("count", "dim")),
    "vectors": (Text("a map of word vectors", "词向量图"), "RUN",
                ("words", "top", "method", "seed")),
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plot")(plot_cli)


def plot_cli(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="Figure; without one all are listed."),
    ] = None,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]... [TEXT]", help="Runs and the text that the figure is of."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="SVG, or PNG by its suffix; - for SVG on stdout."
        ),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option("--set", metavar="NAME,NAME...", help="Of activations: these alone."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="tokens|seconds|epochs",
            help="Of curves: what runs along.",
            show_default="tokens",
        ),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(min=1, help="Which layer (of gates 1, of attention all).", show_default=False),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, max=512, help="Of positions: how many.", show_default="50"),
    ] = None,
    dim: Annotated[
        int | None,
        typer.Option(min=1, max=512, help="Of positions: dimensions.", show_default="64"),
    ] = None,
    words: Annotated[
        str | None, typer.Option(metavar='"W W..."', help="Of vectors: these words.")
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(min=2, max=1000, help="Of vectors: the most frequent.", show_default="60"),
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="pca|tsne", help="Of vectors.", show_default="pca")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=2**32 - 1, help="Of xor: first weights; of t-SNE.", show_default="5"
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title above the figure.")] = None,
    lang: Lang = None,
    json: Annotated[bool, typer.Option("--json", help="Write the plotted numbers.")] = False,
) -> None:
    """Draw the lectures' figures: activations, XOR, learning curves, attention, gates, maps."""
    language = chosen_language(lang)
    if kind is None:
        _list(language, json)
        return
    if kind not in KINDS:
        raise ConfigError(
            f"no figure {kind!r:.40}: expected one of {', '.join(KINDS)}{did_you_mean(kind, KINDS)}"
        )
    options = {
        "set": names, "by": by, "layer": layer, "count": count, "dim": dim, "words": words,
        "top": top, "method": method, "seed": seed,
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in KINDS[kind][2]:
            raise ConfigError(f"--{name} does nothing to {kind}: leave it out")
    if file is None and not json:
        raise ConfigError("where to? name the file with -o FILE.svg (- for standard output)")
    if json and str(file) == "-":
        raise ConfigError("-o - and --json both want standard output: name a file")
    named = _arguments(kind, arguments or [])
    runs = named[: len(named) - KINDS[kind][1].endswith("TEXT")]
    parts = (name for run in runs for name in map(str, Path(run).glob("*")))
    output.refuse_same_file(file, [run for run in runs if Path(run).is_file()] + list(parts))
    if file is not None:
        from nplm_cli.reports import require

        need = ("matplotlib", "sklearn") if method == "tsne" else ("matplotlib",)
        require("nplm plot", need)
    plot = _plot(kind, named, given, language)
    if title is not None:
        plot = dataclasses.replace(plot, title=title)
    if file is not None:
        _draw(plot, file)
    if json:
        output.write_json(
            {"schema": 1, "plot": kind, "title": plot.title, "lang": language, **plot.record}
        )


def _list(lang: Language, json: bool) -> None:
    rows = [(name, usage, text.within(lang)) for name, (text, usage, _) in KINDS.items()]
    if json:
        plots = [dict(zip(("plot", "arguments", "title"), row, strict=True)) for row in rows]
        output.write_json({"schema": 1, "plots": plots})
    else:
        output.write_table(["plot", "arguments", "title"], rows)


def _arguments(kind: str, named: Sequence[str]) -> Sequence[str]:
    usage = KINDS[kind][1]
    wanted = len(usage.split())
    if (len(named) < 1) if usage == "RUN..." else len(named) != wanted:
        shown = f"nplm plot {kind} {usage}".rstrip()
        raise ConfigError(f"{kind}: found {len(named)} arguments: expected {shown}")
    return named


def _plot(kind: str, named: Sequence[str], given: dict[str, Any], lang: Language) -> "Plot":
    match kind:
        case "activations":
            from nplm_cli.plots.activations import activations

            names = given.get("set", "")
            return activations([n.strip() for n in names.split(",") if n.strip()], lang)
        case "xor":
            from nplm_cli.plots.xor import xor

            plot = xor(given.get("seed", 5), lang)
            if not plot.record["learned"]["solved"]:
                output.note(
                    f"from seed {plot.record['seed']} the learned network does not get there, "
                    "as happens with two ReLUs; another --seed may"
                )
            return plot
        case "curves":
            from nplm_cli.plots.curves import BY, curves

            by = _one_of("by", given.get("by", "tokens"), BY)
            return curves([Path(run) for run in named], by, lang)
        case "positions":
            from nplm_cli.plots.positions import positions

            return positions(given.get("count", 50), given.get("dim", 64), lang)
        case "vectors":
            from nplm_cli.plots.vectors import METHODS, vectors

            method = _one_of("method", given.get("method", "pca"), METHODS)
            words, top = given.get("words", "").split(), given.get("top", 60)
            return vectors(Path(named[0]), words, top, method, given.get("seed", 5), lang)
    if kind == "attention":
        from nplm_cli.plots.attention import attention

        plot, prompt = attention(Path(named[0]), named[1], lang, given.get("layer"))
    else:
        from nplm_cli.plots.gates import gates

        plot, prompt = gates(Path(named[0]), named[1], given.get("layer", 1), lang)
    tell_prompt(prompt)
    return plot


def _one_of(option: str, value: str, known: Any) -> str:
    if value not in known:
        raise ConfigError(
            f"--{option} {value!r:.40}: expected one of {', '.join(known)}"
            f"{did_you_mean(value, known)}"
        )
    return value


def _draw(plot: "Plot", file: Path) -> None:
    if file.suffix.lower() == ".png":
        data, lost = plot.png()
        if lost:
            output.warn(
                f"no font here draws {lost[:20]}: write SVG, or install one (Noto Sans CJK)"
            )
    elif file.suffix.lower() == ".svg" or str(file) == "-":
        data = plot.svg()
    else:
        raise ConfigError(f"{file}: expected a name that ends in .svg or .png")
    with output.data_out(file) as out:
        out.write(data)
