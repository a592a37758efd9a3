"""What reading gives: sentences, where tokens stand, and counts with the warnings they lead to."""

import dataclasses
from typing import NamedTuple

from nplm_cli.corpus.encodings import replaced_note
from nplm_cli.corpus.tokenizers import ESCAPES

LISTED_FAULTS = 20
_ESCAPED = frozenset(ESCAPES.values())


class Sentence(NamedTuple):
    """A sentence and where it stands; all numbers run from 0 over the whole input.

    ``document`` is a People's Daily article, or else the file; ``block`` what blank lines mark
    off (pku: the paragraph); ``line`` the line or, of split text, the paragraph. ``tokens`` is
    empty only for a blank line that is kept.
    """

    tokens: list[str]
    document: int
    block: int
    line: int
    file: int


class Place(NamedTuple):
    """Where a token stands in its file: lines from 1, characters of these lines from 0.

    The two lines differ only for a word that a line end of hard-wrapped text divides.
    """

    start_line: int
    start: int
    end_line: int
    end: int


@dataclasses.dataclass
class ReadCounts:
    """What was read; ``characters`` are those of the tokens, white space not among them.

    ``malformed`` and ``replaced_files`` are lists for the user, of no more than the first few.
    """

    files: int = 0
    lines: int = 0
    blank_lines: int = 0
    sentences: int = 0
    tokens: int = 0
    characters: int = 0
    escaped: int = 0
    malformed_total: int = 0
    malformed: list[str] = dataclasses.field(default_factory=list)
    replaced: int = 0
    replaced_files: list[str] = dataclasses.field(default_factory=list)

    def add_sentence(self, tokens: list[str]) -> None:
        """Count a sentence."""
        self.sentences += 1
        self.tokens += len(tokens)
        self.characters += sum(map(len, tokens))
        if not _ESCAPED.isdisjoint(tokens):
            self.escaped += sum(token in _ESCAPED for token in tokens)

    def add_malformed(self, fault: str) -> None:
        """Note a fault of a tagged text."""
        self.malformed_total += 1
        if len(self.malformed) < LISTED_FAULTS:
            self.malformed.append(fault)

    def add_replaced(self, name: str, number: int) -> None:
        """Note how many bad byte sequences of a file became U+FFFD."""
        self.replaced += number
        if len(self.replaced_files) < LISTED_FAULTS:
            self.replaced_files.append(replaced_note(name, number))

    def warnings(self) -> list[str]:
        """What the user should know of the text, when all of it was read."""
        warnings = []
        if self.escaped:
            warnings.append(
                f"{self.escaped} tokens of the text look like special ones "
                "(<s>, </s>, <unk>) and are kept as ordinary words (&lt;s&gt; ...)"
            )
        if self.malformed_total:
            warnings.append(f"{self.malformed_total} malformed tokens, first {self.malformed[0]}")
        return warnings
