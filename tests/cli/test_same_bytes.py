"""The same seed gives the same bytes: in every process, under every order of Python's sets."""

import hashlib

import pytest

TINY = (
    *("--dim", "8", "--hidden", "8", "--order", "3", "--batch", "8", "--steps", "30"),
    *("--dropout", "0.3", "--threads", "1", "--seed", "5", "-q"),
)


def bytes_of(folder, names):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


@pytest.fixture
def in_processes(spawn, tmp_path):
    """Run commands under hash seeds; returns what files each seed left."""

    def run(seeds, names, *commands):
        found = []
        for seed in seeds:
            folder = tmp_path / seed
            folder.mkdir()
            for command in commands:
                spawn(*command, env={"PYTHONHASHSEED": seed}, cwd=folder).ok()
            found.append(bytes_of(folder, names))
        return found

    return run


def test_vocabularies_under_six_hash_seeds(in_processes, texts):
    vocab = ("vocab", texts / "en.txt", "--max-size", "60", "-o", "vocabulary.tsv", "-q")
    found = in_processes("012345", ["vocabulary.tsv"], vocab)
    assert len(found) == 6
    assert all(files == found[0] for files in found)


@pytest.mark.slow
def test_a_training_and_its_vectors_under_two_hash_seeds(in_processes, texts):
    """And another seed gives other weights: the same ones mean something."""
    names = ["run/model.safetensors", "run/vocabulary.tsv", "run/data/train.ids", "run/unknown.tsv"]
    names += ["run/baseline.safetensors", "vectors.txt"]
    train = ("train", texts / "seg.txt", "--max-size", "40", "-o", "run", *TINY)
    export = ("export", "run", "vectors.txt", "-q")
    found = in_processes("05", names, train, export)
    assert found[0] == found[1]
    (other,) = in_processes("1", names[:2], (*train, "--seed", "6"))
    assert [other[name] == found[0][name] for name in names[:2]] == [False, True]
