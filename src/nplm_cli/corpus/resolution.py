"""The recipe of a text: what the settings leave open is seen from its first lines."""

import dataclasses
from collections.abc import Callable, Sequence

from nplm_cli.config import CorpusConfig
from nplm_cli.corpus.detection import SHOWN_FORMAT, Format, detect, is_obviously_raw
from nplm_cli.corpus.file_watch import SHOWN_LANGUAGE
from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.user_words import UserWords


def resolve_recipe(
    config: CorpusConfig,
    texts: Sequence[str],
    words: UserWords,
    on_event: Callable[[str], None],
) -> TextRecipe:
    """Return the recipe of a training text that begins with the lines ``texts``.

    ``words`` are those of the dictionaries; ``on_event`` is told what was found.
    """
    kind = detect(texts)
    lang = kind.lang if config.lang == "auto" else config.lang
    format_ = kind.format if config.format == "auto" else config.format
    sentences = config.sentences
    if sentences == "auto":
        sentences = "line" if format_ == "segmented" else "split"
    if config.format == "auto" and texts:
        on_event(f"format: {SHOWN_FORMAT[format_]}, language: {SHOWN_LANGUAGE[lang]}")
    chinese = lang == "zh"
    for option, chosen in (("user-dict", words), ("tokenizer", config.tokenizer != "jieba")):
        if chosen and not chinese:
            on_event(
                f"warning: --{option} has no effect: the text is cut as {SHOWN_LANGUAGE[lang]}"
            )
        elif chosen and format_ != "raw":
            on_event(f"warning: --{option} has no effect on this text: its words are separated")
    return TextRecipe(
        lang=lang,
        format=format_,
        sentences=sentences,
        blank_lines=config.blank_lines,
        compounds=config.compounds,
        keep_pos=config.keep_pos,
        lowercase=config.lowercase,
        fold_width=config.fold_width,
        fold_numbers=config.fold_numbers,
        tokenizer=config.tokenizer if chinese else "jieba",
        user_words=words if chinese else UserWords(),
    )


def recipe_beside(
    given: TextRecipe,
    config: CorpusConfig,
    texts: Sequence[str],
    on_event: Callable[[str], None],
) -> TextRecipe:
    """Return the recipe of a text that belongs to a training text: the same but for the format."""
    return dataclasses.replace(given, format=_format_beside(given, config, texts, on_event))


def _format_beside(
    given: TextRecipe,
    config: CorpusConfig,
    texts: Sequence[str],
    on_event: Callable[[str], None],
) -> Format:
    """Return the training text's format unless the lines show another."""
    if config.format != "auto":
        return config.format
    if not texts:
        return given.format
    found = detect(texts).format
    if found == "raw" != given.format and not is_obviously_raw(texts):
        found = "segmented"
    if found != given.format:
        on_event(
            f"format: {SHOWN_FORMAT[found]}; the training text was {SHOWN_FORMAT[given.format]}"
        )
    return found
