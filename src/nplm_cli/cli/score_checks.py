"""What options of ``nplm score`` go together; each check raises ConfigError when they do not."""

from nplm_cli.errors import ConfigError

LAYOUTS = ("table", "tsv", "json", "kenlm", "srilm", "summary")


def checked_layout(format: str, *, json: bool) -> str:
    """The layout that ``--format`` and ``--json`` ask for: one of ``LAYOUTS``, or ``auto``."""
    if format not in ("auto", *LAYOUTS):
        raise ConfigError(f"--format {format!r}: expected one of {', '.join(LAYOUTS)}")
    if json and format not in ("auto", "json", "summary"):
        raise ConfigError(f"--json and --format {format}: choose one layout")
    return "json" if json and format != "summary" else format


def check_log10(layout: str, base: str, *, eos: bool) -> None:
    """Refuse what the layouts of KenLM and SRILM cannot show."""
    if layout == "srilm" and not eos:
        raise ConfigError("--format srilm counts the end of a sentence: leave --no-eos out")
    if layout in ("kenlm", "srilm") and base != "2":
        raise ConfigError(f"--format {layout} is in base-10 logarithms: leave --base out")


def check_one_word(layout: str, *, text: bool, of_sentences: bool) -> None:
    """Refuse what does not go with ``--given``: a text, and options ``of_sentences``."""
    if text:
        raise ConfigError("--given and --word stand alone: no sentences and no --file beside them")
    if of_sentences or layout in ("kenlm", "srilm", "summary"):
        raise ConfigError(
            "--given and --word score one word after a sentence's beginning: leave out "
            "--per-token, --no-eos, --context and --format kenlm, srilm or summary"
        )


def check_compiled(layout: str, *, one_word: bool, caches: bool) -> None:
    """Refuse what self-normalised scores cannot give."""
    if one_word:
        raise ConfigError("--compiled scores sentences: leave --given and --word out")
    if caches:
        raise ConfigError("--cache mixes probabilities, which --compiled does not give: choose one")
    if layout == "srilm":
        raise ConfigError(
            "--format srilm is about perplexity, which self-normalised scores do not have: "
            "take --format kenlm or summary with --compiled"
        )
