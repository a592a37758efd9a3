"""``nplm align``: the vectors of one language laid on those of another by a dictionary."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nplm_cli.cli import output
from nplm_cli.cli.arguments import Json, Quiet
from nplm_cli.cli.progress import ProgressView
from nplm_cli.cli.vector_source import open_vectors
from nplm_cli.errors import ConfigError

if TYPE_CHECKING:
    from nplm_cli.query.run import Run

Vectors = Annotated[
    str, typer.Option(metavar="input|output", help="Word vectors, or rows of the output layer.")
]
Words = Annotated[int, typer.Option(help="Only the N most frequent words.", metavar="N", min=20)]


def align_cli(
    source: Annotated[
        Path, typer.Argument(metavar="A", help="Run directory or vector file to be mapped.")
    ],
    target: Annotated[
        Path, typer.Argument(metavar="B", help="Run directory or vector file mapped to.")
    ],
    dictionary: Annotated[
        str,
        typer.Option(metavar="FILE", help="A word of A and its translation in B a line; - stdin."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="Write both spaces, ready to be compared: FILE.vec as FILE.source.vec and "
            "FILE.target.vec.",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="Of -o: word2vec, word2vec-bin, glove, npy, projector or safetensors.",
            show_default="word2vec",
        ),
    ] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(metavar="A:B", help="Instead of accuracies, this pair of words."),
    ] = None,
    per_pair: Annotated[
        bool, typer.Option("--per-pair", help="Instead of accuracies, each pair.")
    ] = False,
    k: Annotated[int, typer.Option("-k", "--top", help="Translations of each pair.", min=1)] = 5,
    csls: Annotated[int, typer.Option(help="Neighbours in CSLS.", min=1)] = 10,
    folds: Annotated[int, typer.Option(help="Folds that words are held out in.", min=2)] = 5,
    permutations: Annotated[
        int, typer.Option(help="Shuffled dictionaries (0: none).", min=0, max=10_000)
    ] = 20,
    words: Words = 5000,
    seed: Annotated[int, typer.Option(help="Seed of folds and shuffles.", min=0)] = 1,
    vectors: Vectors = "input",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Lay the vectors of A on those of B by a dictionary, and test the map on words held out.

    Accuracies are those of source words that the map was not fitted on.
    """
    from nplm_cli.vectors.alignment import align, aligned_spaces
    from nplm_cli.vectors.dictionary import read_dictionary
    from nplm_cli.vectors.export import FORMATS, save_together

    if format is not None and out is None:
        raise ConfigError("--format is that of -o FILE: name the file, too")
    if format is not None and format not in FORMATS:
        raise ConfigError(f"--format {format!r}: expected one of {', '.join(FORMATS)}")
    output.refuse_same_file(out, [str(source), str(target), str(dictionary)])
    asked = [_split_pair(text) for text in pair or []]
    entries = read_dictionary(dictionary, on_event=None if quiet else output.note)
    (keyed_a, run_a), (keyed_b, run_b) = (open_vectors(p, vectors) for p in (source, target))
    entries, asked = (
        [(_spelt(a, run_a), _spelt(b, run_b)) for a, b in some] for some in (entries, asked)
    )
    with ProgressView(quiet=quiet) as view:
        result = align(
            keyed_a,
            keyed_b,
            entries,
            pairs=asked or None,
            folds=folds,
            csls=csls,
            k=k,
            permutations=permutations,
            words=words,
            seed=seed,
            on_event=view,
        )
    for text in result["warnings"]:
        output.warn(text)
    if not quiet:
        output.note(_summary(result))
    if out is not None:
        spaces = zip(("source", "target"), aligned_spaces(keyed_a, keyed_b, entries), strict=True)
        named = [(_named(out, name), space) for name, space in spaces]
        written = save_together(named, format or "word2vec")
        if not quiet:
            output.note(f"both spaces, {result['dim']} dimensions: {', '.join(map(str, written))}")
    if json:
        output.write_json(result)
    elif per_pair or asked:
        _write_pairs(result)
    else:
        _write_accuracies(result)


def _split_pair(text: str) -> tuple[str, str]:
    a, _, b = text.partition(":")
    if not (a.strip() and b.strip()):
        raise ConfigError(f"--pair {text!r}: expected two words with a colon, such as 书:book")
    return a.strip(), b.strip()


def _spelt(word: str, run: "Run | None") -> str:
    """The word as the run's training text would have it."""
    return word if run is None else run.recipe.spelled(word)


def _named(out: Path, name: str) -> Path:
    """``a.vec.gz`` and ``source`` make ``a.source.vec.gz``."""
    packed = ".gz" if out.suffix == ".gz" else ""
    plain_name = Path(out.name.removesuffix(packed))
    return out.with_name(f"{plain_name.stem}.{name}{plain_name.suffix}{packed}")


def _summary(result: dict[str, Any]) -> str:
    oov = result["oov"]
    test = result["permutation"]
    text = (
        f"{result['pairs_covered']:,} of {result['pairs_in_dictionary']:,} pairs covered (unknown: "
        f"{oov['source']:,} source, {oov['target']:,} target words); {result['source_words']:,} "
        f"source words asked in {result['folds']} folds, {result['candidates']['target']:,} "
        f"candidates; cosine of held-out pairs {result['pair_cosine']:.3f}, of wrong pairs "
        f"{result['random_cosine']:.3f} (sd {result['random_cosine_sd']:.3f})"
    )
    if test["n"]:
        text += (
            f"; shuffled dictionary, {test['n']} times: accuracy at 1 {test['accuracy_mean']:.3f}, "
            f"at most {test['accuracy_max']:.3f}, p = {test['p_value']:.3g}"
        )
    return text


def _write_accuracies(result: dict[str, Any]) -> None:
    output.write_table(
        ["retrieval", "at", "accuracy", "interval_low", "interval_high"],
        [
            [by, int(n), share, *result["interval_95"][by][n]]
            for by, shares in result["accuracy"].items()
            for n, share in shares.items()
        ],
    )


def _write_pairs(result: dict[str, Any]) -> None:
    columns = ["source", "target", "cosine_before", "cosine_after", "rank"]
    output.write_table(
        [*columns, "neighbors"],
        [[*(p[key] for key in columns), " ".join(p["neighbors"])] for p in result["pairs"]],
    )
