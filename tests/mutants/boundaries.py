"""What crosses a boundary: files of users and strangers, lists and tables that go out again."""

from mutant import mutant

MUTANTS = (
    mutant(
        "bomb let in",
        "ten kilobytes expand until the disk or the memory is full",
        ("corpus/compression.py", "given > MAX_EXPANSION * taken", "given > 10**18"),
        tests="corpus/test_compression.py",
    ),
    mutant(
        "replaced uncounted",
        "bad bytes become U+FFFD and nobody is told",
        ("corpus/decoder.py", "self.replaced += text.count(BAD)", "self.replaced += 0"),
        tests="corpus/test_encodings.py",
    ),
    mutant(
        "new name before its bytes",
        "the file takes its place before it is on the disk: a power cut leaves an empty one",
        (
            "atomic.py",
            "        _flush(file, temporary, path)\n        os.replace(temporary, path)\n    sync",
            "        file.flush()\n        os.replace(temporary, path)\n    sync",
        ),
        tests="artifacts faults",
    ),
    mutant(
        "names not flushed",
        "a power cut after exit 0 takes the new name: the result is gone that was told to be there",
        (
            "atomic.py",
            "    try:\n        descriptor = os.open(folder, os.O_RDONLY)\n    except OSError:  # Win",
            "    return\n    try:\n        descriptor = os.open(folder, 0)\n    except OSError:  # Win",
        ),
        tests="faults",
    ),
    mutant(
        "silent until the report",
        "a training that was killed does not answer, though its weights are there",
        (
            "query/run.py",
            "        if not path.exists():\n            raise ArtifactError(\n"
            "                f\"{path}: no weights",
            "        if not path.exists() or ((self.folder / \"checkpoint.safetensors\").exists()\n"
            "                and not (self.folder / \"report.json\").exists()):\n"
            "            raise ArtifactError(\n                f\"{path}: no weights",
        ),
        tests="faults",
    ),
    mutant(
        "link out of a run",
        "a training that goes on writes to a file elsewhere",
        ("opening.py", "if not target.is_relative_to(real):", "if target is real:"),
        tests="artifacts",
    ),
    mutant(
        "gap in the ids",
        "a list that lacks an id is scored against the references of other ids",
        ("nbest/lists.py", "if int(own) != expected and not", "if own == \"\" and not"),
        tests="nbest",
    ),
    mutant(
        "rank from 0",
        "the most probable word has rank 0",
        ("query/distributions.py", "rank_B = 1 + np", "rank_B = 0 + np"),
        tests="query/test_distributions.py stimuli",
    ),
    mutant(
        "spill-over of the word itself",
        "the figures of the previous word are those of the word",
        ("stimuli/columns.py", "before = words[at - k] if at >= k", "before = words[at] if at >= k"),
        tests="stimuli cli/test_surprisal.py",
    ),
    mutant(
        "its own source written over",
        "tokenize -o of the corpus itself leaves tokens where the corpus was",
        ("cli/output.py", "os.path.samefile(path, name)", "path is name"),
        tests="cli/test_bad_input.py",
    ),
)  # fmt: skip
