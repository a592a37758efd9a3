"""Write the sample corpora, or check that they are what this script writes.

    python sample_corpora/generate.py                 # write beside this file
    python sample_corpora/generate.py --out DIR       # write somewhere else
    python sample_corpora/generate.py --check         # compare, write nothing

The same seed gives the same bytes on every machine, in any process, from Python 3.11 on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from corpus_maker import documents  # noqa: E402  the package lies beside this script

SEED = 1998
TOKENS = 200_000


def make_all(tokens: int = TOKENS, seed: int = SEED) -> dict[str, bytes]:
    """Every file, by path relative to the output folder."""
    files: dict[str, bytes] = {}
    for language in documents.LANGUAGES:
        files.update(documents.make_files(HERE, language, tokens, seed))
    return files


def differences(files: dict[str, bytes], folder: Path) -> list[str]:
    """The paths whose file is missing from the folder or not the same."""
    return [
        path
        for path, content in files.items()
        if not (folder / path).is_file() or (folder / path).read_bytes() != content
    ]


def main(argv: list[str] | None = None) -> int:
    """Write or check; the exit status is 1 when a check finds a difference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE, help="where the files go or are compared")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--tokens", type=int, default=TOKENS, help="tokens in each language")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args(argv)
    files = make_all(options.tokens, options.seed)
    if options.check:
        wrong = differences(files, options.out)
        for path in wrong:
            print(f"differs from what the script writes: {path}", file=sys.stderr)
        return 1 if wrong else 0
    for path, content in files.items():
        target = options.out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
