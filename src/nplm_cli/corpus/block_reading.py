"""Blocks of lines become blocks of words, numbered as the reader numbers its sentences."""

from collections.abc import Iterable, Iterator
from types import ModuleType

import numpy as np

from nplm_cli.corpus.readers import LineBlock
from nplm_cli.corpus.reading_results import ReadCounts
from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.word_blocks import WordBlock, find_words, pieces


def word_blocks(
    blocks: Iterable[LineBlock], recipe: TextRecipe, counts: ReadCounts, kernels: ModuleType
) -> Iterator[WordBlock]:
    """Yield the words of ``blocks``; ``counts`` grow with them."""
    keep_blank = recipe.blank_lines == "keep"
    document = block = unit = file = -1
    after_blank = True
    for text, _, file_index, _ in blocks:
        if file_index != file:
            file, after_blank = file_index, True
            document += 1
        for piece in pieces(text):
            found = find_words(piece, recipe, kernels)
            filled_L = found.words_L > 0
            before_L = np.concatenate([[not after_blank], filled_L[:-1]])
            block_L = block + np.cumsum(filled_L & ~before_L)
            kept_L = filled_L | keep_blank
            kept = int(np.count_nonzero(kept_L))
            counts.lines += len(filled_L)
            counts.blank_lines += len(filled_L) - int(np.count_nonzero(filled_L))
            counts.sentences += kept
            counts.tokens += len(found.starts_W)
            counts.characters += found.characters
            counts.escaped += found.escaped
            after_blank = not filled_L[-1]
            if kept:
                yield WordBlock(
                    found.data,
                    found.starts_W,
                    found.ends_W,
                    found.words_L[kept_L],
                    document,
                    np.maximum(block_L[kept_L], 0),
                    unit + np.arange(1, kept + 1),
                    file,
                    found.characters,
                )
            block = int(block_L[-1])
            unit += kept
