"""Words that the files of other programs can hold."""

import re
from collections.abc import Sequence

from nplm_cli.errors import ConfigError

_CUTS = re.compile("[ \t\n\r\x0b\x0c\x00]")
_SURROGATES = re.compile("[\ud800-\udfff]")
# Names that these programs give a meaning of their own; KenLM reads <UNK> as <unk>.
_TAKEN = ("<s>", "<UNK>", "<null>")


def check_words(tokens: Sequence[str], form: str) -> None:
    """Raise ConfigError, naming it, for a word that would be cut or taken for another one."""
    for number, word in enumerate(tokens):
        fault = None
        if not word:
            fault = "it is empty"
        elif cut := _CUTS.search(word):
            fault = f"it holds {cut[0]!r}, where readers would cut it"
        elif _SURROGATES.search(word):
            fault = "it holds a lone surrogate, which is not UTF-8"
        elif word in _TAKEN:
            fault = "readers give this name a meaning of its own"
        if fault:
            raise ConfigError(
                f"word {word!r} (line {number + 1} of vocabulary.tsv) cannot be written as {form}: "
                f"{fault}; train with a text or --vocab without it"
            )
