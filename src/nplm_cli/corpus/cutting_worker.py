"""Cuts text for another process: ``python -m nplm_cli.corpus.cutting_worker``.

The first line of standard input is the recipe, each further one a list of texts; each is answered
by a line with the sentences of each text, or with the error that cutting them met. When standard
input closes, the work is over.
"""

import signal
import sys
from typing import Any


def main() -> None:
    """Answer until nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    from nplm_cli.corpus.cutting import decode, encode
    from nplm_cli.corpus.recipe import TextRecipe
    from nplm_cli.errors import NplmError

    order = sys.stdin.buffer.readline()
    if not order:
        return
    values = decode(order)
    recipe = TextRecipe.from_json(values["recipe"], "recipe")
    cut = recipe.split_spans if values["spans"] else recipe.split
    answer: Any
    for request in sys.stdin.buffer:
        try:
            answer = [list(cut(text)) for text in decode(request)]
        except NplmError as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        sys.stdout.buffer.write(encode(answer))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
