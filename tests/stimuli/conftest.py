"""Tables of our own, as bytes."""

import io

import pytest

from nplm_cli.corpus.exact_text import read_exact
from nplm_cli.stimuli.table import read_table


@pytest.fixture
def table():
    """A table from text, as read from a file."""

    def read(text, *args, encoding="utf-8"):
        return read_table(read_exact("-", encoding, stdin=io.BytesIO(text.encode(encoding))), *args)

    return read
