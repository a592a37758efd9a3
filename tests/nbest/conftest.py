"""Lists of our own, as bytes."""

import io

import pytest

from nplm_cli.corpus.exact_text import read_exact
from nplm_cli.nbest.lists import read_nbest

MOSES = (
    "0 ||| 我 买 书 ||| LM0= -3.2 WordPenalty0= -3 ||| -1.5\n"
    "0 ||| 我 买 茶 |||  ||| -1.75\n"
    "0 |||  ||| LM0= -9 ||| -4e0\n"
    "1 ||| 今天 学生 喜欢 书 。 ||| LM0= -5 ||| -2.25"
)
TSV = 'id\thypothesis\ttotal\tnote\nu1\t我 买 书\t-1.5\tx\nu1\t\t-2\t\nu0\t今天\t-1\t"\n'
JSONL = (
    '{"id": "a", "hypothesis": "我 买 书", "total": -1.5}\n'
    '{ "hypothesis" : "",  "id":"a", "total": -2 , "more": [1, {"id": 2}] }  \r\n'
    '{"id":7,"hypothesis":"\\u4eca\\u5929","total":-1e0}\n'
)
LISTS = {"moses": MOSES, "tsv": TSV, "jsonl": JSONL}


@pytest.fixture
def nbest():
    """A list from text, as read from a file."""

    def read(text, *args, encoding="utf-8", **options):
        data = text if isinstance(text, bytes) else text.encode(encoding)
        return read_nbest(read_exact("-", encoding, stdin=io.BytesIO(data)), *args, **options)

    return read


@pytest.fixture(params=LISTS)
def layout(request):
    """Name of a layout and a list in it."""
    return request.param, LISTS[request.param]
