"""Settings of the stages before the model: text, split, vocabulary."""

from dataclasses import dataclass
from typing import Any, Literal

from nplm_cli.config.section import Section, option
from nplm_cli.errors import ConfigError


@dataclass(frozen=True)
class CorpusConfig(Section):
    """How bytes become sentences of tokens."""

    lang: Literal["auto", "zh", "en", "char"] = option(
        "auto", "Words of raw text: Chinese (jieba), English (rules) or single characters."
    )
    format: Literal["auto", "raw", "segmented", "pku"] = option(
        "auto", "Raw text, words separated by spaces, or People's Daily word/tag markup."
    )
    encoding: str = option(
        "auto",
        "Encoding of the input; auto knows UTF-8, UTF-16, UTF-32, GB18030 and Big5.",
        metavar="NAME",
    )
    errors: Literal["strict", "replace"] = option(
        "strict", "Bytes that are no text: an error, or U+FFFD in their place, counted."
    )
    markup: Literal["auto", "text", "html"] = option(
        "auto",
        "Of HTML pages (by name or beginning) the visible text; text: their source, "
        "html: all files are pages.",
    )
    sentences: Literal["auto", "line", "split"] = option(
        "auto",
        "A line is a sentence, or split after 。！？ and . ! ? "
        "(auto: line for segmented text, split for raw and pku).",
    )
    blank_lines: Literal["skip", "keep"] = option(
        "skip", "Skip blank lines, or make each one an empty sentence."
    )
    compounds: Literal["open", "join"] = option(
        "open", "Of [word/tag word/tag]tag: the inner words, or one joined word."
    )
    keep_pos: bool = option(False, "Keep the part-of-speech tag: word/tag is the token.")
    lowercase: bool = option(False, "Lower-case all letters.")
    fold_width: bool = option(
        True, "Full-width digits and letters become ASCII ones; punctuation stays."
    )
    fold_numbers: bool = option(False, "Each digit becomes 0: 1998 and 2024 are both 0000.")
    tokenizer: Literal["jieba", "rjieba"] = option(
        "jieba",
        "Segmenter of raw Chinese; rjieba (extra fast) is quicker and cuts some words otherwise.",
    )
    user_dict: tuple[str, ...] = option(
        (),
        "Words that are each one token of raw Chinese: a file, a word a line, as jieba reads it.",
        metavar="FILE",
    )

    def __post_init__(self) -> None:
        """Also refuse a dictionary beside a segmenter that takes none."""
        super().__post_init__()
        if self.user_dict and self.tokenizer == "rjieba":
            raise ConfigError(
                "--user-dict with --tokenizer rjieba, which takes no dictionary: leave one of them "
                "out"
            )


@dataclass(frozen=True)
class SplitConfig(Section):
    """Which documents train, validate and test."""

    split_by: Literal["hash", "order", "none"] = option(
        "hash",
        "Assign documents by a hash of their text, by file order, or train on everything.",
    )
    valid_share: float = option(0.05, "Share of documents for validation.", low=0, below=1)
    test_share: float = option(0.05, "Share of documents for the test.", low=0, below=1)

    def __post_init__(self) -> None:
        """Also check that something is left to train on."""
        super().__post_init__()
        if self.valid_share + self.test_share >= 1:
            raise ConfigError(
                f"--valid-share {self.valid_share} and --test-share {self.test_share}: "
                "nothing is left to train on"
            )


@dataclass(frozen=True)
class VocabularyConfig(Section):
    """Which words the model knows; the rest is <unk>."""

    max_size: int | None = option(
        None,
        "Keep the V most frequent words, the two specials not counted "
        "(20000 unless --min-count is given).",
        low=1,
    )
    min_count: int | None = option(
        None, "Keep words seen at least this often (1: all words).", low=1
    )
    vocab: str | None = option(
        None, "Use the words of this vocabulary.tsv instead of counting.", metavar="FILE"
    )

    def __post_init__(self) -> None:
        """Also refuse a vocabulary file together with a cut."""
        super().__post_init__()
        if self.vocab is not None and not (self.max_size is None and self.min_count is None):
            raise ConfigError("--vocab excludes --max-size and --min-count: the file is the cut")


DEFAULT_MAX_SIZE = 20_000

# What is looked at anew in each text, whatever was said of the training text.
OF_A_FILE: dict[str, Any] = {
    "format": "auto",
    "encoding": "auto",
    "errors": "strict",
    "markup": "auto",
}
