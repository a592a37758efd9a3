"""What the tests of the corpus stage share."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def real_corpora() -> Path:
    """The folder with the real corpora; skips the test where it is absent."""
    default = Path(__file__).parents[2] / ".." / "shared" / "corpora"
    folder = Path(os.environ.get("NPLM_REAL_CORPORA", default))
    if not folder.is_dir():
        pytest.skip("no real corpora (NPLM_REAL_CORPORA)")
    return folder


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch):
    """Keep the dictionary cache of the segmenter out of the home folder, one for all tests."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
