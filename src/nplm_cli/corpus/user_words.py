"""Words of the user's own, which the Chinese segmenter cuts as one token each.

They come from files in the format of jieba's user dictionaries and are kept with the model: a
question is cut as the training text was, wherever the files are by then.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

from nplm_cli.corpus.tokenizers import count_chinese, fold_width
from nplm_cli.errors import ConfigError, InputError

# Longer lines are text and no dictionary.
MAX_CHARACTERS = 100
MAX_FREQUENCY = 1_000_000_000
MAX_WORDS = 5_000_000
# Parts of speech as jieba and the corpora that it comes from write them.
TAGS = frozenset(
    [
        "a",
        "ad",
        "ag",
        "an",
        "b",
        "c",
        "d",
        "df",
        "dg",
        "e",
        "eng",
        "f",
        "g",
        "h",
        "i",
        "j",
        "k",
        "l",
        "m",
        "mg",
        "mq",
        "n",
        "ng",
        "nr",
        "nrfg",
        "nrt",
        "ns",
        "nt",
        "nx",
        "nz",
        "o",
        "p",
        "q",
        "r",
        "rg",
        "rr",
        "rz",
        "s",
        "t",
        "tg",
        "u",
        "ud",
        "ug",
        "uj",
        "ul",
        "uv",
        "uz",
        "v",
        "vd",
        "vg",
        "vi",
        "vn",
        "vq",
        "w",
        "x",
        "y",
        "z",
        "zg",
    ]
)
_CURE = "save the dictionary as UTF-8"
_LOWER_LETTERS = re.compile("[a-z]+")
_TAG = re.compile("[A-Za-z][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[+-]?[0-9][0-9.,eE+-]*")


class UserWords(Mapping[str, int | None]):
    """Words and the frequencies they were given (None: none); never changed.

    White space within a word is single spaces. Raises ConfigError for what no word or frequency
    can be.
    """

    def __init__(self, frequencies: Mapping[str, int | None] | None = None):
        self._frequencies = dict(frequencies or {})
        if len(self._frequencies) > MAX_WORDS:
            raise ConfigError(f"{len(self):,} words: expected at most {MAX_WORDS:,}")
        for word, frequency in self._frequencies.items():
            _check_word(word)
            _check_frequency(frequency)

    def __getitem__(self, word: str) -> int | None:
        return self._frequencies[word]

    def __iter__(self) -> Iterator[str]:
        return iter(self._frequencies)

    def __len__(self) -> int:
        return len(self._frequencies)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UserWords) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"UserWords of {len(self)}"

    @cached_property
    def sha256(self) -> str:
        """Digest of words and frequencies, whatever their order."""
        lines = sorted(f"{word}\t{frequency}" for word, frequency in self.items())
        import hashlib

        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()

    def to_json(self) -> dict[str, int | None]:
        """Return the words as a JSON object."""
        return dict(self._frequencies)

    @classmethod
    def from_json(cls, values: object, where: str) -> Self:
        """Build from a JSON object; raises ConfigError for what ``to_json`` does not give."""
        if not isinstance(values, dict):
            raise ConfigError(f"{where}: expected an object of words, found {values!r:.40}")
        try:
            return cls(values)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error


def _check_word(word: Any) -> None:
    if not isinstance(word, str) or not word or word != " ".join(word.split()):
        raise ConfigError(f"{word!r:.60}: expected a word")
    if len(word) > MAX_CHARACTERS:
        raise ConfigError(
            f"a word of {len(word):,} characters ({word[:12]!r}...): expected a word a line, of at "
            f"most {MAX_CHARACTERS}"
        )


def _check_frequency(frequency: Any) -> None:
    if frequency is None:
        return
    if type(frequency) is not int:
        raise ConfigError(f"frequency {frequency!r:.40}: expected a whole number")
    if frequency == 0:
        raise ConfigError(
            "frequency 0: expected at least 1 (a word cannot be taken away): leave the line out, "
            "or the frequency"
        )
    if not 0 < frequency <= MAX_FREQUENCY:
        raise ConfigError(f"frequency {frequency:.6g}: expected 1 to {MAX_FREQUENCY:,}")


def read_user_words(
    paths: Sequence[str],
    *,
    fold: bool = True,
    on_event: Callable[[str], None] | None = None,
) -> UserWords:
    """Read dictionaries: a word a line, then perhaps its frequency, then perhaps a tag.

    With ``fold`` full-width digits and letters become ASCII, as they do in the text. Of two lines
    with one word the last frequency counts. Raises what ``read_lines`` does, and InputError naming
    file and line for a line that is none of these, or a file without a word.
    """
    from nplm_cli.corpus.readers import STDIN, read_lines

    words: dict[str, int | None] = {}
    for path in paths:
        if path == STDIN:
            raise ConfigError("--user-dict -: a dictionary is a file: write it into one")
        found = given = 0
        for line in read_lines([path], on_event=on_event, cure=_CURE):
            if not line.text.strip():
                continue
            try:
                word, frequency = parse_entry(fold_width(line.text) if fold else line.text)
            except ConfigError as error:
                raise InputError(f"{line.file}:{line.number}: {error}") from error
            words[word] = words.get(word) if frequency is None else frequency
            found += 1
            given += frequency is not None
        if not found:
            raise InputError(
                f"{path}: no word in it: expected a word a line, with a frequency and a tag or "
                "without"
            )
        if on_event is not None:
            on_event(f"user dictionary {path}: {found:,} words, {given:,} with a frequency")
    return UserWords(words)


def parse_entry(line: str) -> tuple[str, int | None]:
    """Return word and frequency of a line of a dictionary; the tag is read and dropped.

    The word ends at the first tab. Without one a number at the end, or before a tag, is the
    frequency, and what stands before may hold spaces. Raises ConfigError.
    """
    if "\t" in line:
        word, *rest = (" ".join(field.split()) for field in line.split("\t"))
        rest = [field for field in rest if field]
        if rest and not _looks_numeric(rest[-1]):
            rest.pop()  # the tag
        if len(rest) > 1:
            raise ConfigError(
                f"{len(rest) + 1} fields before the tag: expected WORD, FREQUENCY and TAG"
            )
    else:
        pieces = line.split()
        rest = []
        if _has_tag(pieces):
            pieces.pop()
        # "Python 3.5" has no frequency, "云计算 3.5" a wrong one.
        if (
            len(pieces) > 1
            and _looks_numeric(pieces[-1])
            and (pieces[-1].isdecimal() or count_chinese(" ".join(pieces[:-1])))
        ):
            rest = [pieces.pop()]
        word = " ".join(pieces)
    _check_word(word)
    frequency = _parse_frequency(rest[0]) if rest else None
    return word, frequency


def _looks_numeric(field: str) -> bool:
    return field.isdecimal() or _NUMBER.fullmatch(field) is not None


def _has_tag(pieces: list[str]) -> bool:
    """Whether the last piece of a line is a tag: after a frequency, or known after Chinese."""
    if len(pieces) < 2 or not _TAG.fullmatch(pieces[-1]):
        return False
    if len(pieces) > 2 and pieces[-2].isdecimal():
        return True
    if not count_chinese(" ".join(pieces[:-1])):
        return False
    if _LOWER_LETTERS.fullmatch(pieces[-1]) and pieces[-1] not in TAGS:
        raise ConfigError(
            f"{pieces[-1]!r} may be a tag or belong to the word: put a tab after the word"
        )
    return pieces[-1] in TAGS


def _parse_frequency(field: str) -> int:
    if not field.isdecimal():
        raise ConfigError(
            f"frequency {field!r:.40}: expected a whole number (what belongs to the word goes "
            "before a tab)"
        )
    if len(field) > 18:
        raise ConfigError(f"frequency {field[:18]}...: expected 1 to {MAX_FREQUENCY:,}")
    frequency = int(field)
    _check_frequency(frequency)
    return frequency
