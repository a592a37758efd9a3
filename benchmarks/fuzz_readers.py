"""Damaged and arbitrary bytes through every reader of text: refused in one line, or read.

    python benchmarks/fuzz_readers.py                      # 10,000 inputs a reader
    python benchmarks/fuzz_readers.py -n 200 --only pages  # a look at one of them

An input is a text of ours in some encoding and compression, cut, damaged, spliced with another or
with noise; or noise alone. Each must be read, or refused by an error for the user (NplmError, of
one line), in ``--seconds`` and within ``--memory`` MiB above what the process had. What
fails is kept in ``--keep`` and the exit code is 1. The same seed gives the same inputs.
"""

import argparse
import bz2
import functools
import gzip
import importlib.util
import io
import lzma
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fuzzing

from nplm_cli.config import CorpusConfig
from nplm_cli.corpus.exact_text import ExactText, read_exact
from nplm_cli.corpus.formats import read_sentences
from nplm_cli.corpus.readers import read_lines
from nplm_cli.corpus.user_words import read_user_words
from nplm_cli.nbest.lists import read_nbest
from nplm_cli.stimuli.table import read_table
from nplm_cli.vectors.analogy import read_questions
from nplm_cli.vectors.dictionary import read_dictionary
from nplm_cli.vectors.ratings import read_ratings

SAMPLES = Path(__file__).parents[1] / "sample_corpora"
ENCODINGS = (
    *("utf-8", "utf-8-sig", "gb18030", "gbk", "big5", "big5hkscs", "cp1252", "cp932", "euc_kr"),
    *("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "iso2022_jp", "hz"),
)
PAGE = (
    "<!DOCTYPE html><html><head><title>t</title><meta charset={}><style>p{{}}</style></head><body>"
    "<p>{}</p><div hidden>x</div><table><tr><td>a<td>b</table><pre>{}</pre><script>1<2</script>"
)
RATINGS = "word1\tword2\tscore\n" + "".join(f"书\t读者{i}\t7.5\nking\tq{i}\t8\n" for i in range(9))
QUESTIONS = ": capitals\nAthens Greece Oslo Norway\n北京 中国 东京 日本\n: b\na b c d\n" * 9
MOSES = "".join(f"{i} ||| 我 爱 a ||| lm= -{i}.5 d= 0 ||| -3.25\n" for i in range(9))
COLUMNS = "id\thypothesis\ttotal\tnote\n" + "".join(f'{i}\ta 们\t-1.5\t"x"\n' for i in range(9))
OBJECTS = "".join(f'{{"id": {i}, "hypothesis": "a \\u4e2d", "x": [1]}}\n' for i in range(9))
STIMULI = "item,word,RT\n" + '1,"the ""old""",312.5\n1,"man,",NA\n\n2,我,250\n' * 9
OWN_WORDS = "云计算 5 n\nC++ 3\n李小福 nr\nNew York\n5G\n" * 9
DICTIONARY = "书\tbook\n苹果 apple\n# remark\n" * 9
# Bytes that mean something to one reader or another.
TOKENS = (
    b"\0", b"\r", b"\n", b"\r\n", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff",
    b"\xfe\xff\0\0", b"\xe2\x80\xa8", b"\x1a", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd", b"[", b"]nt", b"/n  ", b"<unk>", b"</s>", b"<!--", b"-->", b"<!---->",
    b"<script>", b"&#x110000;", b'"', b"\t", b":", b"\x1b[31m", b"\xed\xa0\x80",
    b"\x84\x31\x95\x33", b"a" * 300, b"\0" * 64, b"19980101-01-001-001/m  ",
)  # fmt: skip


def lines_of(**options: Any) -> Callable[[bytes], None]:
    """Read lines from standard input."""

    def read(data: bytes) -> None:
        for line in read_lines(["-"], stdin=io.BytesIO(data), **options):
            line.text.encode()

    return read


def sentences_of(**settings: Any) -> Callable[[bytes], None]:
    """Read sentences as ``nplm tokenize`` does."""

    def read(data: bytes) -> None:
        reader = read_sentences(["-"], CorpusConfig(**settings), stdin=io.BytesIO(data))
        for sentence in reader:
            assert all(sentence.tokens), "an empty token"
            " ".join(sentence.tokens).encode()

    return read


def table_of(function: Callable[..., Any]) -> Callable[[bytes], None]:
    """Read a file of words by ``function``."""

    def read(data: bytes) -> None:
        function("-", stdin=io.BytesIO(data))

    return read


def file_of(function: Callable[[str], Any]) -> Callable[[bytes], None]:
    """Read a file that is not taken from standard input by ``function``."""

    def read(data: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            function(file.name)

    return read


def exact_of(function: Callable[[ExactText], Any]) -> Callable[[bytes], None]:
    """Read a file that goes out again by ``function``."""
    return lambda data: function(read_exact("-", stdin=io.BytesIO(data)))


def texts() -> list[str]:
    """The beginnings of our own texts, in every format."""
    files = sorted(SAMPLES.glob("*/*/valid.txt"))
    return ["\n".join(line.text for line in read_lines([str(path)]))[:1500] for path in files]


def packed(name: str) -> Callable[[bytes], bytes]:
    """How a text is compressed."""
    if name == "zst":
        import zstandard

        return lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data)
    compress = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    return compress[name]


def seeds_of(kind: str) -> tuple[list[bytes], Callable[[bytes], None]]:
    """What is mutated for a reader, and the reader."""
    own = texts()
    encoded = [text.encode(e, "ignore") for text in own for e in ENCODINGS]
    match kind:
        case "lines":
            return encoded, lines_of()
        case "lines, replace":
            return encoded, lines_of(errors="replace")
        case "lines, named":
            readers = [
                lines_of(encoding=e, errors=x) for e in ENCODINGS for x in ("strict", "replace")
            ]
            return encoded, lambda data: readers[sum(data[:40]) % len(readers)](data)
        case "gz" | "bz2" | "xz" | "zst":
            compress = packed(kind)
            more = [compress(a) + compress(b) for a, b in zip(encoded, encoded[5:], strict=False)]
            bomb = [compress(b"a" * 3_000_000)]
            return [*map(compress, encoded), *more[:40], *bomb], lines_of(errors="replace")
        case "pages":
            pages = [
                PAGE.format(e, text, text).encode(e, "ignore")
                for text in own
                for e in ENCODINGS[:9]
            ]
            return pages, lines_of(markup="html")
        case "sentences":
            return encoded, sentences_of()
        case "sentences, pku":
            return encoded, sentences_of(format="pku", compounds="join", errors="replace")
        case "sentences, segmented":
            return encoded, sentences_of(format="segmented", sentences="split", lowercase=True)
        case "ratings":
            return [RATINGS.encode(e, "ignore") for e in ENCODINGS], table_of(read_ratings)
        case "analogies":
            return [QUESTIONS.encode(e, "ignore") for e in ENCODINGS], table_of(read_questions)
        case "n-best":
            lists = (MOSES, COLUMNS, OBJECTS)
            return [text.encode(e, "ignore") for text in lists for e in ENCODINGS], exact_of(
                read_nbest
            )
        case "stimuli":
            return [STIMULI.encode(e, "ignore") for e in ENCODINGS], exact_of(read_table)
        case "user words":
            words = [OWN_WORDS.encode(e, "ignore") for e in ENCODINGS]
            return words, file_of(lambda name: read_user_words([name]))
    return [DICTIONARY.encode(e, "ignore") for e in ENCODINGS], file_of(read_dictionary)


KINDS = (
    *("lines", "lines, replace", "lines, named", "gz", "bz2", "xz", "zst", "pages", "sentences"),
    *("sentences, pku", "sentences, segmented", "ratings", "analogies", "dictionary"),
    *("n-best", "stimuli", "user words"),
)


def mutated(seeds: list[bytes], r: random.Random) -> bytes:
    """One input: now and then noise, mostly a seed with a few changes."""
    if r.random() < 0.05:
        return r.randbytes(r.randrange(400))
    data = bytearray(r.choice(seeds))
    if r.random() < 0.3:
        begin = r.randrange(len(data) + 1)
        data = data[begin : begin + r.randrange(1, 600)]
    for _ in range(r.choice((0, 1, 1, 2, 3, 8, 30))):
        place = r.randrange(len(data) + 1)
        match r.randrange(7):
            case 0 if data:
                data[place % len(data)] = r.randrange(256)
            case 1 if data:
                data[place % len(data)] ^= 1 << r.randrange(8)
            case 2:
                del data[place : place + r.choice((1, 2, 3, 50))]
            case 3:
                data[place:place] = r.choice(TOKENS)
            case 4:
                data[place:place] = r.randbytes(r.randrange(1, 20))
            case 5:
                other = r.choice(seeds)
                begin = r.randrange(len(other))
                data[place:place] = other[begin : begin + r.randrange(1, 200)]
            case _:
                data = data[:place] + data[max(0, place - r.randrange(1, 100)) :]
    return bytes(data)


def main() -> int:
    """Fuzz the readers and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", type=int, default=10_000, help="inputs a reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one reader: " + "; ".join(KINDS))
    parser.add_argument("--seconds", type=float, default=5.0, help="at most for one input")
    parser.add_argument("--memory", type=int, default=512, help="MiB at most above the start")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    options = parser.parse_args()
    # Raw Chinese is segmented with jieba: its dictionary is loaded before anything is measured.
    sentences_of(lang="zh", format="raw")("今天我们去看书。".encode())
    limits = fuzzing.Limits(options.seconds, options.memory, options.keep.resolve())
    failed = False
    print(fuzzing.table_head(), flush=True)
    for kind in [options.only] if options.only else KINDS:
        missing = {"zst": "zstandard", "pages": "lxml"}.get(kind)
        if missing and importlib.util.find_spec(missing) is None:
            print(f"{kind}\tskipped: no {missing}")
            continue
        began = time.perf_counter()
        seeds, read = seeds_of(kind)
        make = functools.partial(mutated, seeds)
        tally = fuzzing.run(kind, options.n, options.seed, make, read, limits)
        print(fuzzing.table_row(kind, tally, time.perf_counter() - began), flush=True)
        for failure in tally.failures[:3]:
            print(failure, file=sys.stderr, flush=True)
        failed = failed or bool(tally.failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
