"""``nplm compare-vectors``: vector spaces side by side; ``nplm align`` is registered here, too."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from nplm_cli.cli import output
from nplm_cli.cli.align_command import Vectors, Words, align_cli
from nplm_cli.cli.arguments import Json, Quiet
from nplm_cli.cli.progress import ProgressView
from nplm_cli.cli.run_groups import group_names, same_seed
from nplm_cli.cli.vector_source import open_vectors
from nplm_cli.cli.word_lookup import known_row
from nplm_cli.errors import ConfigError

SHOWN_WORDS = 5


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("compare-vectors")(compare_vectors_cli)
    app.command("align")(align_cli)


def compare_vectors_cli(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="RUN_OR_VECTORS", help="Two or more run directories or files."),
    ],
    k: Annotated[int, typer.Option("-k", "--top", help="Neighbours of each word.", min=1)] = 10,
    words: Words = 5000,
    word: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="Instead, the neighbours shared by this word's vectors."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of folds, samples and resamples.", min=0)] = 1,
    bootstrap: Annotated[
        int,
        typer.Option(help="Resamples of the 95 % intervals.", metavar="N", min=100, max=100_000),
    ] = 1000,
    vectors: Vectors = "input",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare vector spaces by measures that need no common axes, beside the noise of the seed.

    Give several runs of each architecture that differ in --seed alone.
    """
    from nplm_cli.vectors.comparison import Space, compare_vectors
    from nplm_cli.vectors.lookup import Lookup

    if len(sources) < 2:
        raise ConfigError("one vector space: expected two or more to compare")
    opened = [open_vectors(path, vectors) for path in sources]
    runs = [run for _, run in opened]
    groups = group_names(sources, runs)
    for keyed, run in opened:
        for asked in word or ():
            known_row(asked, Lookup(keyed), run, None)  # a run knows best why it has no such word
    with ProgressView(quiet=quiet) as view:
        result = compare_vectors(
            [
                Space(str(path), keyed, group, None if run is None else run.config.training.seed)
                for path, (keyed, run), group in zip(sources, opened, groups, strict=True)
            ],
            k=k,
            words=words,
            of_words=word or (),
            seed=seed,
            resamples=bootstrap,
            on_event=view,
        )
    for copies in same_seed(sources, runs, groups):
        result["warnings"].append(
            f"{', '.join(copies)} are of one seed: their agreement is no noise floor; "
            "train with another --seed"
        )
    if not quiet:
        output.note(
            f"{result['vocabulary_note']}; overlap of {k} nearest words (by chance "
            f"{result['chance']['overlap']:.3g}), cosine after rotation (held out, "
            f"{result['folds']} folds), rsa on {result['rsa_words']:,} words; seed {seed}"
        )
        for pair in result["most_different_words"]:
            shown = ", ".join(record["word"] for record in pair["words"][:SHOWN_WORDS])
            chance = pair["by_chance"]
            output.note(
                f"{pair['a']} and {pair['b']} differ most below the floor in: {shown} (by "
                f"{pair['words'][0]['floor'] - pair['words'][0]['between']:.3f} at most"
                + (f", up to {chance:.3f} in other groupings of the runs)" if chance else ")")
            )
    for text in result["warnings"]:
        output.warn(text)
    if json:
        output.write_json(result)
    elif word:
        output.write_table(
            ["word", "a", "b", "overlap", "floor"],
            [
                [record["word"], pair["a"], pair["b"], record["between"], record["floor"]]
                for pair in result["of_words"]
                for record in pair["words"]
            ],
        )
    else:
        columns = ["a", "b", "measure", "agreement", "floor", "difference", "interval_95"]
        output.write_table([*columns, "below_floor", "note"], list(_agreements(result)))


def _agreements(result: dict[str, Any]) -> Iterator[list[Any]]:
    """A row a pair of groups and measure; then a row a group and measure, against itself."""
    from nplm_cli.vectors.noise_floor import MEASURES

    for pair in result["group_pairs"]:
        for measure in MEASURES:
            figure = pair[measure]
            interval = figure["interval_95"]
            yield [
                pair["a"],
                pair["b"],
                measure,
                figure["between"],
                figure["floor"],
                figure["difference"],
                interval and f"{output.cell(interval[0])} to {output.cell(interval[1])}",
                figure["below_floor"],
                figure["reason"],
            ]
    for group, figures in result["within"].items():
        if figures["runs"] > 1:
            for measure in MEASURES:
                note = f"{figures['runs']} runs"
                yield [group, group, measure, figures[measure], *([None] * 4), note]
