"""Hard-wrapped lines become paragraphs again; other lines are paragraphs as they are."""

import bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, pairwise
from unicodedata import east_asian_width

from nplm_cli.corpus.detection import head_lines
from nplm_cli.corpus.readers import Line
from nplm_cli.corpus.tokenizers import count_chinese

# A text is hard-wrapped when its lines end at one width between these, in columns ...
WIDTHS = range(40, 131)
# ... most lines that another follows reach this share of it ...
FULL_LINE = 0.75
FULL_LINES = 0.6
# ... and this share of the lines visibly goes on in the next one.
CONTINUED_LINES = 0.3
# Memory is bounded by the longest line and by about this.
MAX_PARAGRAPH_CHARACTERS = 1 << 20
_STOPS = frozenset('.!?。！？：:．”"』」')

# Where in a paragraph a piece begins, the number of its line, and where in that line it begins.
Origin = tuple[int, int, int]


class Joined(Line):
    """A paragraph that is no line of its file: made of several, or cut out of one."""

    origin: list[Origin]

    def place(self, offset: int) -> tuple[int, int]:
        """Number of the file's line, and the offset in it, of the character at ``offset``."""
        i = bisect.bisect_right(self.origin, offset, key=lambda piece: piece[0]) - 1
        start, number, column = self.origin[i]
        return number, column + offset - start


def paragraphs(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield the paragraphs of each file, blank lines among them as they are.

    Whether a file is hard-wrapped is measured on its first 1,000 lines. Then lines are joined
    unless the next is blank or indented deeper, or the first word of the next would have had
    room: a heading, a verse, an entry of a list. The number is that of the first line.
    """
    for _, group in groupby(lines, key=lambda line: line.file_index):
        head = head_lines(group)
        width = wrap_width([line.text for line in head])
        rest = chain(head, group)  # noqa: B031 (goes on where the head ended)
        for paragraph in rest if width is None else _joined(rest, width):
            if len(paragraph.text) <= 2 * MAX_PARAGRAPH_CHARACTERS:
                yield paragraph
            else:
                yield from _cut(paragraph)


def wrap_width(texts: Sequence[str]) -> int | None:
    """Columns at which the lines are wrapped, or None when they are not."""
    columns = sorted(_columns(text) for text in texts if text.strip())
    pairs = [(a, b) for a, b in pairwise(texts) if a.strip() and b.strip()]
    if len(pairs) < 3:
        return None
    width = columns[int(0.95 * (len(columns) - 1))]
    if width not in WIDTHS:
        return None
    full = [(a, b) for a, b in pairs if _columns(a) >= FULL_LINE * width]
    continued = sum(_goes_on(a.strip(), b.strip()) for a, b in full)
    stops = any(mark in text for text in texts for mark in ".!?。！？")
    wrapped = len(full) >= FULL_LINES * len(pairs) and continued >= CONTINUED_LINES * len(pairs)
    return width if wrapped and stops else None


def _goes_on(line: str, following: str) -> bool:
    if line[-1] in _STOPS:
        return False
    return following[0].islower() or bool(count_chinese(line[-1]) and count_chinese(following[0]))


def _columns(text: str) -> int:
    text = text.rstrip()
    return len(text) + count_chinese(text)


def _is_wide(character: str) -> bool:
    """Whether a character, ideograph or mark, belongs to a script without spaces."""
    return east_asian_width(character) in "WF"


def _indent(text: str) -> int:
    text = text.expandtabs()
    return len(text) - len(text.lstrip())


def _joined(lines: Iterable[Line], width: int) -> Iterator[Line]:
    pieces: list[str] = []
    origin: list[Origin] = []
    size = 0
    first = previous = None
    for line in lines:
        blank = not line.text.strip()
        if previous is not None and (
            blank
            or size > MAX_PARAGRAPH_CHARACTERS
            or _indent(line.text) > _indent(previous.text)
            or _broken_on_purpose(previous.text, line.text, width)
        ):
            assert first is not None
            yield _made(first, "".join(pieces), origin)
            pieces, origin, size, first, previous = [], [], 0, None, None
        if blank:
            yield line
            continue
        text = line.text.strip()
        if first is None:
            first = line
        elif not (_is_wide(pieces[-1][-1]) or _is_wide(text[0])):
            pieces.append(" ")
            size += 1
        origin.append((size, line.number, len(line.text) - len(line.text.lstrip())))
        pieces.append(text)
        size += len(text)
        previous = line
    if first is not None:
        yield _made(first, "".join(pieces), origin)


def _cut(paragraph: Line) -> Iterator[Line]:
    """Cut a book on one line into paragraphs of bearable length, at white space or a 。 ."""
    text, start = paragraph.text, 0
    while start < len(text):
        limit = start + MAX_PARAGRAPH_CHARACTERS
        end = max(text.rfind(mark, start, limit) for mark in " 。\u3000") + 1 or limit
        end = end if limit < len(text) else len(text)
        yield _made(paragraph, text[start:end], _origin(paragraph, start, end))
        start = end


def _made(line: Line, text: str, origin: list[Origin]) -> Joined:
    made = Joined(text, line.file, line.file_index, line.number)
    made.origin = origin
    return made


def _origin(paragraph: Line, start: int, end: int) -> list[Origin]:
    """Origin of ``paragraph.text[start:end]``."""
    whole = paragraph.origin if isinstance(paragraph, Joined) else []
    later = [(at - start, number, column) for at, number, column in whole if start < at < end]
    return [(0, *paragraph.place(start)), *later]


def _broken_on_purpose(line: str, following: str, width: int) -> bool:
    word = following.split(maxsplit=1)[0]
    room = 2 if count_chinese(word[0]) else 1 + len(word)
    return _columns(line) + room <= FULL_LINE * width
