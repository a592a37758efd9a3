"""What the tests of several stages share: small parts made of ids, one thread for torch."""

import itertools
import signal
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import EOS_ID


def pytest_configure() -> None:
    """Tests send Ctrl-C, which programs ignore that a shell started in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Tiny products are fastest on one thread; says nothing when no test needs torch."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_part() -> Callable[..., Part]:
    """Files of sentences of ids -> a part; one flat list of sentences is one file."""

    def build(*files: Sequence[Sequence[int]], characters: int = 0) -> Part:
        ids, starts, file_starts = [], [0], []
        for sentences in files:
            file_starts.append(len(ids))
            for sentence in sentences:
                ids += [*sentence, EOS_ID]
                starts.append(len(ids))
        return Part(
            np.array(ids, np.uint16),
            np.array(starts, np.int64),
            np.array(file_starts, np.int64),
            characters,
        )

    return build


@pytest.fixture(scope="session")
def random_part(make_part) -> Callable[..., Part]:
    """Sentences of random ids 0, 2 ... V-1 (zipf-like), spread over files."""

    def build(
        sentences: int, vocabulary: int = 12, *, longest: int = 9, files: int = 1, seed: int = 0
    ) -> Part:
        random = np.random.default_rng(seed)
        texts = []
        for _ in range(sentences):
            ids = np.minimum(random.zipf(1.5, random.integers(1, longest + 1)), vocabulary - 1)
            texts.append(np.where(ids == EOS_ID, 0, ids).tolist())
        bounds = np.linspace(0, sentences, files + 1).astype(int)
        return make_part(*(texts[a:b] for a, b in itertools.pairwise(bounds)))

    return build
