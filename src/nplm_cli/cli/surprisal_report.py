"""What is told of the words, and how the regression of reading times is shown."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from nplm_cli.cli import output
from nplm_cli.plain import counted

if TYPE_CHECKING:
    from nplm_cli.corpus.recipe import TextRecipe
    from nplm_cli.stimuli.words import Scored, Text

COLUMNS = (
    *("part", "name", "estimate", "standard_error", "statistic", "df", "p_value"),
    *("r2", "log_likelihood", "delta_log_likelihood"),
)


def write_report(report: dict[str, Any], *, json: bool, quiet: bool) -> None:
    """Write the report, and (unless ``quiet``) what was left out to stderr."""
    if json:
        output.write_json(report)
    else:
        output.write_table(COLUMNS, [[row.get(c) for c in COLUMNS] for row in _rows(report)])
    if quiet:
        return
    left_out = [
        f"{count:,} {name.replace('_', ' ')}" for name, count in report["left_out"].items() if count
    ]
    told = f"; left out: {', '.join(left_out)}" if left_out else ""
    output.note(f"{report['words']:,} of {counted(report['rows'], 'row')} in the regressions{told}")


def _rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    predictor = report["predictor"]
    rows: list[dict[str, Any]] = [
        {"part": part, "name": predictor, "estimate": report[part]}
        for part in ("correlation", "partial_correlation")
    ]
    rows += [
        {
            "part": "model",
            "name": model["model"],
            "df": report["words"] - model["parameters"],
            "r2": model["r2"],
            "log_likelihood": model["log_likelihood"],
        }
        for model in report["models"]
    ]
    rows += [
        {
            "part": "comparison",
            "name": f"{own['model']} beyond {own['beyond']}",
            "statistic": own["f"],
            "df": "{}, {}".format(*own["df"]),
            "p_value": own["p_value"],
            "delta_log_likelihood": own["delta_log_likelihood"],
        }
        for own in report["comparisons"]
    ]
    left = report["words"] - len(report["coefficients"])
    rows += [
        {
            "part": "coefficient",
            "name": own["predictor"],
            "estimate": own["estimate"],
            "standard_error": own["standard_error"],
            "statistic": own["t"],
            "df": left,
            "p_value": own["p_value"],
        }
        for own in report["coefficients"]
    ]
    return rows


def tell_words(
    texts: "Sequence[Text]",
    scored: "Sequence[Scored]",
    recipe: "TextRecipe",
    vocabulary: "Collection[str]",
) -> None:
    """Count on stderr what is out of the way, and why words are unknown."""
    from nplm_cli.stimuli.unknown import cures, unknown_words

    words = [word for text in scored for word in text.words]
    unknown = sum(bool(word.oov) for word in words)
    several = sum(word.tokens > 1 for word in words)
    empty = sum(not word.tokens for word in words)
    impossible = sum(word.logprob_e == float("-inf") for word in words)
    if several:
        output.note(
            f"{counted(several, 'word')} of several tokens of the model: their surprisals added up"
        )
    if unknown:
        share = unknown / len(words)
        output.warn(f"{counted(unknown, 'word')} ({share:.1%}) with an unknown token: oov 1")
        told = cures(unknown_words(texts, scored), recipe, vocabulary).told()
        if told is not None:
            output.warn(told)
    if empty:
        output.note(f"{counted(empty, 'cell')} without a word: nothing is said of them")
    if impossible:
        output.warn(
            f"{counted(impossible, 'word')} of probability 0 under the model: surprisal inf"
        )
