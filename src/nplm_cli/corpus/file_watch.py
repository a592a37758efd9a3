"""Files of one input that look otherwise than the rest, for one format is meant for all of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice

from nplm_cli.corpus.detection import SHOWN_FORMAT, detect, is_obviously_raw
from nplm_cli.corpus.readers import Line, LineBlock, shown_name
from nplm_cli.corpus.recipe import TextRecipe

# How far each file is looked at; shorter ones may look like anything.
WATCHED_LINES = 50
LEAST_CHARACTERS = 200
TOLD_FILES = 3
SHOWN_LANGUAGE = {"zh": "Chinese", "en": "English", "char": "single characters"}


class FileWatch:
    """Looks at the first lines of each file and warns of those that do not suit the recipe."""

    def __init__(self, recipe: TextRecipe, tell: Callable[[str], None]):
        self._recipe, self._tell = recipe, tell
        self._others = 0

    def look(self, file: str, texts: Sequence[str]) -> None:
        """Look at a file by its first ``WATCHED_LINES`` lines."""
        if looks := seen_otherwise(texts, self._recipe):
            self._others += 1
            if self._others <= TOLD_FILES:
                self._tell(
                    f"warning: {shown_name(file)} looks like {looks}; one format and "
                    "language is for all files: read it by itself"
                )

    def end(self) -> None:
        """Tell of how many files no more was said."""
        if self._others > TOLD_FILES:
            more = self._others - TOLD_FILES
            self._tell(f"warning: {more:,} more files look otherwise than they are read")


def watched(
    lines: Iterable[Line], recipe: TextRecipe, tell: Callable[[str], None]
) -> Iterator[Line]:
    """Pass lines on; ``tell`` is warned of files whose beginning does not suit the recipe."""
    watch = FileWatch(recipe, tell)
    for _, group in groupby(lines, key=lambda line: line.file_index):
        head = list(islice(group, WATCHED_LINES))
        watch.look(head[0].file, [line.text for line in head])
        yield from head
        yield from group  # noqa: B031 (goes on where the head ended)
    watch.end()


def watched_blocks(
    blocks: Iterable[LineBlock], recipe: TextRecipe, tell: Callable[[str], None]
) -> Iterator[LineBlock]:
    """Like ``watched`` for blocks of lines."""
    watch = FileWatch(recipe, tell)
    for _, group in groupby(blocks, key=lambda block: block.file_index):
        head: list[LineBlock] = []
        texts: list[str] = []
        while len(texts) < WATCHED_LINES and (block := next(group, None)) is not None:
            head.append(block)
            texts += block.text.split("\n", WATCHED_LINES)[:WATCHED_LINES]
        watch.look(head[0].file, texts[:WATCHED_LINES])
        yield from head
        yield from group
    watch.end()


def seen_otherwise(texts: Sequence[str], recipe: TextRecipe) -> str:
    """What ``texts`` look like and what they are read as, or nothing where that may be the same."""
    if sum(map(len, texts)) < LEAST_CHARACTERS:
        return ""
    found = detect(texts)
    if recipe.format == "segmented":
        # Few marks leave it open whether words are separated.
        other = found.format == "pku" or (found.format == "raw" and is_obviously_raw(texts))
    elif recipe.format == "raw":
        other = found.format == "pku" or (found.format == "segmented" and found.lang == "zh")
    else:
        other = found.format != "pku"
    if other:
        return f"{SHOWN_FORMAT[found.format]}, read as {SHOWN_FORMAT[recipe.format]}"
    if recipe.format == "raw" and recipe.lang != "char" and found.lang != recipe.lang:
        return f"{SHOWN_LANGUAGE[found.lang]}, read as {SHOWN_LANGUAGE[recipe.lang]}"
    return ""
