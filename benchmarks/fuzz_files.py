"""Damaged and crafted files of models, vectors and vocabularies: refused in one line, or read.

    python benchmarks/fuzz_files.py                      # 10,000 inputs a kind of file
    python benchmarks/fuzz_files.py -n 300 --only model  # a look at the kinds with "model" in them

Tiny files of every kind are made first (all architectures, count models, a mixture, a homework's
plan, every vector format). An input is such a file with bits flipped, pieces cut or doubled,
numbers, types and names changed in its JSON, tensors dropped, renamed and reshaped under a
checksum that is right; or noise. The real parser reads it and, where it accepts the file, answers
a question with it: within ``--seconds``, within ``--memory`` MiB above the start, and either
accepted or refused with an error for the user (NplmError) of one line. Kinds that begin with
"command" go through the command line. Checksums are made right beside what is damaged
(sealing.py), and no input is the file as it was: the share of the accepted ones is that of files
that were changed and read. ``--messages`` tells what most of the others were refused for. What
fails is kept in ``--keep``; the exit code is then 1. The same seed gives the same inputs.
"""

import argparse
import contextlib
import dataclasses
import gzip
import io
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import damage
import fuzzing
import numpy as np
import sealing

from nplm_cli import artifacts, comparison, events
from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.shards import Part, beginning, check_ids, open_parts
from nplm_cli.corpus.vocabulary import Vocabulary, load_unknown
from nplm_cli.homework import results as homework_results
from nplm_cli.homework.plan import load_plan
from nplm_cli.homework.worker import weights_are_lost
from nplm_cli.query.compiling import COMPILED, DTYPES
from nplm_cli.query.describe import describe
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer
from nplm_cli.query.settings import recorded_settings
from nplm_cli.query.tables import open_tables_scorer
from nplm_cli.run_folders import count_ngrams
from nplm_cli.vectors.formats import load_vectors
from nplm_cli.vectors.keyed import KeyedVectors
from nplm_cli.vectors.pretrained import initial_rows

TINY = ("--dim", "4", "--hidden", "6", "--threads", "1", "--steps", "4", "--batch", "4", "-q")
FAMILIES = {
    "ffn": ("--order", "3"),
    "ffn, far": ("--far", "8", "--kernels", "2", "--averages", "1", "--layers", "2", "--gate"),
    "ffn, adaptive": ("--softmax", "adaptive", "--cutoffs", "4,8"),
    "ffn, tied": ("--tie", "--residual", "--norm", "pre", "--combine", "mean"),
    "rnn": ("--arch", "rnn"),
    "gru": ("--arch", "gru", "--layers", "2"),
    "lstm": ("--arch", "lstm", "--peephole", "full"),
    "attention": ("--arch", "attention", "--window", "8"),
    "transformer": ("--arch", "transformer", "--window", "8", "--heads", "2"),
    "counts, kn": ("--arch", "ngram", "--order", "3"),
    "counts, mle": ("--arch", "ngram", "--order", "2", "--smoothing", "mle"),
    "counts, addk": ("--arch", "ngram", "--order", "3", "--smoothing", "addk"),
}
WORDS = ["我", "你", "书", "茶", "北京", "今天", "看", "买", "喜欢", "。", "cat", "dog", "sees"]
ODD = ("=1+1", "a\u202eb", "\x1b[31m", "<b>", "-1", "[red]", "稀", "少")
VECTORS = ("word2vec", "word2vec-bin", "glove", "npy", "safetensors")


def texts(folder: Path) -> None:
    """Write a text that leaves words unknown, and another one to tune on."""
    r = random.Random(5)
    for name, lines in (("train.txt", 60), ("tune.txt", 12)):
        text = [" ".join(r.choices(WORDS, k=r.randrange(2, 7))) for _ in range(lines)]
        text[3:3] = [" ".join(ODD), " ".join(ODD[:5])]
        (folder / name).write_text("\n".join(text) + "\n", "utf-8")


def call(*arguments: object) -> tuple[int, str]:
    """Run a command line in this process; its exit code and what it said on stderr."""
    from nplm_cli.cli.app import run

    shown, said = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace") for _ in range(2)
    )
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
        code = run([str(argument) for argument in arguments])
        said.flush()
    return code, said.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]


def must(*arguments: object) -> None:
    """Run a command line that makes something to be damaged."""
    code, said = call(*arguments)
    if code:
        sys.exit(f"{arguments}: {said}")


def make_runs(folder: Path) -> None:
    """Train a tiny run of every family, mix two, and write every vector format."""
    texts(folder)
    read = ("--format", "segmented", "--split-by", "none", "--min-count", 2)
    for name, options in FAMILIES.items():
        valid = ("--valid", folder / "tune.txt", *TINY)
        must("train", folder / "train.txt", "-o", folder / name, *read, *valid, *options)
    for dtype in DTYPES:
        shutil.copytree(folder / "ffn", folder / f"compiled, {dtype}")
        must("compile", folder / f"compiled, {dtype}", "--dtype", dtype, "-q")
    runs = (folder / "ffn", folder / "counts, kn")
    mixed = ("--tune", folder / "tune.txt", "--cache", "unigram", "-q", "-o", folder / "mixture")
    must("mix", *runs, *mixed)
    for form in VECTORS:
        (folder / form).mkdir()
        must("export", folder / "ffn", folder / form / "v.npy", "--format", form, "-q")
    for form in ("word2vec", "word2vec-bin"):
        (folder / f"{form}.gz").mkdir()
        packed = gzip.compress((folder / form / "v.npy").read_bytes(), mtime=0)
        (folder / f"{form}.gz" / "v.npy").write_bytes(packed)
    make_plan(folder)


def make_plan(folder: Path) -> None:
    """Write the plan of a homework, which is trained by nobody."""
    from nplm_cli.config import Config, HomeworkConfig
    from nplm_cli.corpus.preparation import Sources
    from nplm_cli.homework.plan import make_plan as plan_of

    plan = plan_of(Config(), HomeworkConfig(), [Sources(train=(str(folder / "train.txt"),))])
    (folder / "plan").mkdir()
    artifacts.write_json(folder / "plan" / "config.json", plan.to_json(["homework"]))


def ask(folder: Path) -> None:
    """Open a run and ask it all that the numpy side can answer."""
    run = Run(folder)
    describe(run)
    scorer = open_scorer(run)
    ids = np.array([2, 3, 1, 0, 4, 1], np.uint16)
    part = Part(ids, np.array([0, 3, 6]), np.array([0]), 9)
    assert scorer.nll(part, run.config.training.context).shape == (6,)
    assert scorer.next_log_probs([2, 3]).shape == (len(run.vocabulary),)
    run.recipe.tokenize("我 看 书 。")
    if run.mixture is None and run.config.model.neural:
        neighbors(run.keyed_vectors())
    comparison._seconds(run)
    if run.baseline is not None:
        run.baseline.next_log_probs([1, 2])


def neighbors(keyed: KeyedVectors) -> None:
    """Ask for the nearest words, and a drawn one."""
    if len(keyed):
        keyed.neighbors([keyed.words[-1]], k=3)
    if keyed.rows_by_frequency().size:
        keyed.sample_words(2, seed=1)


def vectors(path: Path) -> None:
    """Load vectors, whole and as the first rows of a training."""
    neighbors(load_vectors(path))
    initial_rows(path, WORDS)


def tables(path: Path) -> None:
    """Score by compiled tables all that the numpy side can."""
    scorer = open_tables_scorer(Run(path.parent), path)
    part = Part(np.array([2, 3, 1, 0, 4, 1], np.uint16), np.array([0, 3, 6]), np.array([0]), 9)
    for context in ("sentence", "stream"):
        assert scorer.nll(part, context).shape == (6,)


def metrics(path: Path) -> None:
    """Read the record of the evaluations as a comparison, a report and a resume do."""
    from nplm_cli.training.store import RunFiles

    comparison._speed(path, {})
    homework_results._curve(path)
    RunFiles(path.parent).keep_metrics_up_to(3)


def parts(folder: Path) -> None:
    """Open the ids of a run and do what a training or an evaluation does with them."""
    run = Run(folder.parent)
    found = open_parts(folder)
    check_ids(folder, found, len(run.vocabulary))
    for part in found.values():
        part.oov()
        beginning(part, 20)
        scorer = open_scorer(run)
        for context in ("sentence", "stream"):
            assert scorer.nll(part, context).shape == part.ids_N.shape
            assert part.sequence_starts(context)[-1] == part.predictions
        if part.predictions:
            counts = count_ngrams(part, run.config, len(run.vocabulary), 2, "kn", events.ignore)
            counts.next_log_probs([2])


def checkpoint_reader() -> Callable[[Path], None]:
    """What loads a checkpoint of the ffn run into one and the same training."""
    import torch

    from nplm_cli.models import build
    from nplm_cli.training.checkpoints import load_checkpoint
    from nplm_cli.training.loop import Trainer
    from nplm_cli.training.store import RunFiles

    torch.set_num_threads(1)
    trainers: dict[Path, Any] = {}

    def read(path: Path) -> None:
        if path not in trainers:
            run = Run(path.parent)
            network = build(run.config.model, len(run.vocabulary))
            part = open_parts(run.folder / "data")["train"]
            trainers[path] = Trainer(network, part, None, run.config.training, RunFiles(run.folder))
        trainer = trainers[path]
        load_checkpoint(path, *trainer._tensors)
        weights_are_lost(path.parent)

    return read


def prepared(pristine: Path, kind: str, run: str) -> Path:
    """A folder of its own for one kind, whose files may be damaged."""
    place = pristine.parent / "damaged" / kind.replace(", ", "-")
    shutil.copytree(pristine / run, place)
    return place


Mutate = Callable[[bytes, random.Random], bytes]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A file in a folder, how it is damaged, and what reads it."""

    run: str
    file: str
    mutate: Mutate
    read: Callable[[Path], None]
    seal: bool = True

    def functions(self, pristine: Path, name: str) -> tuple[fuzzing.Make, fuzzing.Read]:
        """What makes an input, and what reads it."""
        path = prepared(pristine, name, self.run) / self.file
        seed = path.read_bytes()

        def read(data: bytes) -> None:
            # A new file: the old one may still be mapped.
            path.unlink(missing_ok=True)
            path.write_bytes(data)
            if self.seal:
                sealing.seal(path)
            self.read(path)

        return lambda r: changed(seed, r, self.mutate, path.suffix), read


def changed(seed: bytes, r: random.Random, mutate: Mutate, suffix: str) -> bytes:
    """Damage a file until it is another one."""
    while True:
        data = mutate(seed, r)
        if not damage.same(seed, data, suffix):
            return data


def in_ids(seed: bytes, r: random.Random) -> bytes:
    """Damage ids as such, mostly."""
    return in_bytes(seed, r) if r.random() < 0.1 else damage.damaged_elements(seed, r, 2)


def in_table(seed: bytes, r: random.Random) -> bytes:
    """Damage rows of columns with tabs between."""
    return damage.damaged_rows(seed, r, "\t")


def in_words(seed: bytes, r: random.Random) -> bytes:
    """Damage rows of words with spaces between."""
    return damage.damaged_rows(seed, r, " ")


def in_sentences(seed: bytes, r: random.Random) -> bytes:
    """Damage starts of sentences as such."""
    return damage.damaged_starts(seed, r, int.from_bytes(seed[-8:], "little"), closed=True)


def in_files(seed: bytes, r: random.Random) -> bytes:
    """Damage starts of files as such; there are some hundred ids."""
    return damage.damaged_starts(seed, r, 200, closed=False)


def in_bytes(seed: bytes, r: random.Random) -> bytes:
    """Damage without regard to what the bytes mean."""
    return damage.damaged_bytes([seed], r)


def repacked(seed: bytes, r: random.Random) -> bytes:
    """Damage what is packed, or the package."""
    if r.random() < 0.3:
        return in_bytes(seed, r)
    return gzip.compress(in_bytes(gzip.decompress(seed), r), 1)


def kinds() -> dict[str, Kind]:
    """Every kind of file by name."""
    of_folder: Callable[[Path], None] = lambda path: ask(path.parent)  # noqa: E731
    found = {
        "config of ffn": Kind("ffn", "config.json", damage.damaged_json, of_folder),
        "config of transformer": Kind("transformer", "config.json", damage.damaged_json, of_folder),
        "config of counts": Kind("counts, kn", "config.json", damage.damaged_json, of_folder),
        "config of a mixture": Kind("mixture", "config.json", damage.damaged_json, of_folder),
        "config of a component": Kind(
            "mixture", "components/1/config.json", damage.damaged_json,
            lambda path: ask(path.parents[2]),
        ),
        "config to replay": Kind(
            "ffn", "config.json", damage.damaged_json, lambda path: recorded_settings(path) and None
        ),
        "plan of a homework": Kind(
            "plan", "config.json", damage.damaged_json, lambda path: load_plan(path) and None
        ),
        "tokenizer": Kind(
            "ffn", "tokenizer.json", damage.damaged_json,
            lambda path: TextRecipe.load(path).tokenize("我 看 Ａ book .") and None,
        ),
        "report": Kind("ffn", "report.json", damage.damaged_json, of_folder),
        "report of a mixture": Kind("mixture", "report.json", damage.damaged_json, of_folder),
        "metrics": Kind("ffn", "metrics.jsonl", damage.damaged_lines, metrics),
        "index of ids": Kind(
            "ffn", "data/index.json", damage.damaged_json, lambda path: parts(path.parent)
        ),
        "ids": Kind("ffn", "data/train.ids", in_ids, lambda path: parts(path.parent)),
        "starts of sentences": Kind(
            "ffn", "data/train.sentences", in_sentences, lambda path: parts(path.parent)
        ),
        "starts of files": Kind(
            "ffn", "data/train.files", in_files, lambda path: parts(path.parent)
        ),
        "vocabulary": Kind(
            "ffn", "vocabulary.tsv", in_table, lambda path: Vocabulary.load(path) and None
        ),
        "vocabulary of a run": Kind("counts, kn", "vocabulary.tsv", in_table, of_folder),
        "unknown words": Kind(
            "ffn", "unknown.tsv", in_table, lambda path: load_unknown(path) and None
        ),
        "baseline": Kind("ffn", "baseline.safetensors", damage.damaged_tensors, of_folder),
        "checkpoint": Kind(
            "ffn", "checkpoint.safetensors", damage.damaged_tensors, checkpoint_reader()
        ),
    }  # fmt: skip
    for family in FAMILIES:
        found[f"model, {family}"] = Kind(
            family, "model.safetensors", damage.damaged_tensors, of_folder
        )
    for dtype in DTYPES:
        name = f"compiled, {dtype}"
        found[name] = Kind(name, COMPILED, damage.damaged_tensors, tables)
    for form, mutate in (("word2vec", in_words), ("word2vec-bin", in_bytes), ("glove", in_words)):
        found[f"vectors, {form}"] = Kind(form, "v.npy", mutate, vectors)
    found["vectors, npy"] = Kind("npy", "v.npy", damage.damaged_npy, vectors)
    for form in ("word2vec.gz", "word2vec-bin.gz"):
        found[f"vectors, {form}"] = Kind(form, "v.npy", repacked, vectors)
    found["vectors, safetensors"] = Kind("safetensors", "v.npy", damage.damaged_tensors, vectors)
    found["vectors, words of npy"] = Kind(
        "npy", "v.words.txt", in_words, lambda path: vectors(path.with_name("v.npy"))
    )
    return found


MUTATORS: dict[str, Mutate] = {
    ".json": damage.damaged_json,
    ".jsonl": damage.damaged_lines,
    ".safetensors": damage.damaged_tensors,
    ".tsv": in_table,
    ".ids": in_ids,
    ".sentences": in_sentences,
    ".files": in_files,
}
RESUME = 13  # of the lines below: what reads the most files of a run


class Commands:
    """Runs with one file damaged, put to commands that read them."""

    def __init__(self, pristine: Path, run: str):
        self.pristine, self.run = pristine / run, run
        self.place = pristine.parent / "damaged" / f"command-{run}"
        self.files = sorted(
            str(p.relative_to(self.pristine)) for p in self.pristine.rglob("*") if p.is_file()
        )
        self.text = pristine / "tune.txt"
        self.other = pristine / "gru"

    def lines(self) -> list[tuple[object, ...]]:
        """Command lines about the damaged run."""
        run, out = self.place, self.place.with_name(f"out of {self.run}")
        shutil.rmtree(out, ignore_errors=True)
        return [
            ("score", run, "我 看 书 。", "--per-token", "--json"),
            ("score", run, "--given", "我", "--word", "书"),
            ("predict", run, "我"),
            ("generate", run, "--samples", 2),
            ("neighbors", run, "书", "--json"),
            ("info", run, "--json"),
            ("eval", run, self.text, "-q"),
            ("eval", run, self.text, "-q", "--dynamic"),
            ("compare", run, self.other, "--bootstrap", 100, "-q"),
            ("compare", run, self.other, "--on", self.text, "--bootstrap", 100, "-q"),
            ("export", run, out, "-q"),
            ("count", run, "我"),
            ("mix", run, self.other, "--tune", self.text, "-o", out, "-q"),
            ("train", "--resume", "-o", run, "-q", "--steps", 5),
            ("train", self.text, "-o", out, "--config", run / "config.json", "--steps", 2, "-q",
             "--min-count", 1, "--device", "cpu"),
        ]  # fmt: skip

    def make(self, r: random.Random) -> bytes:
        """Name a file and a command, and damage the file: all of it in the bytes of an input."""
        file = r.choice(self.files)
        suffix = Path(file).suffix
        seed = (self.pristine / file).read_bytes()
        match r.randrange(12):
            case 0:  # another file in its place
                data = (self.pristine / r.choice(self.files)).read_bytes()
            case 1:
                data = b""
            case _:
                data = changed(seed, r, MUTATORS.get(suffix, in_bytes), suffix)
        line = RESUME if r.random() < 1 / 3 else r.randrange(15)
        return f"{line} {file}\n".encode() + data

    def read(self, data: bytes) -> None:
        """Put the run together and run the command."""
        head, _, body = data.partition(b"\n")
        number, _, file = head.decode().partition(" ")
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.pristine, self.place)
        (self.place / file).write_bytes(body)
        sealing.seal(self.place / file)
        line = self.lines()[int(number)]
        code, said = call(*line)
        if code not in (0, 1, 2) or "Traceback" in said or "out of memory" in said:
            raise AssertionError(f"{line}: exit code {code}: {said[-600:]}")
        if code:
            errors = [x for x in said.splitlines() if not x.startswith("nplm: warning: ")]
            if len(errors) != 1 or len(errors[0]) > fuzzing.LONGEST_MESSAGE:
                raise AssertionError(f"{line}: {len(errors)} lines: {said[-600:]!r:.900}")
            raise fuzzing.NplmError(errors[0])


def functions(pristine: Path) -> Iterator[tuple[str, fuzzing.Make, fuzzing.Read, float]]:
    """Name, input maker, reader, and which share of the number of inputs, of every kind."""
    for name, kind in kinds().items():
        yield name, *kind.functions(pristine, name), 1.0
    for run in ("ffn", "transformer", "counts, kn", "mixture"):
        commands = Commands(pristine, run)
        yield f"command, {run}", commands.make, commands.read, 0.04


def main() -> int:
    """Fuzz the parsers and print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=10_000, help="inputs a kind (commands: 4 %%)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--seconds", type=float, default=5.0, help="at most for one input")
    parser.add_argument("--memory", type=int, default=512, help="MiB at most above the start")
    parser.add_argument(
        "-v", "--messages", action="store_true", help="the three most frequent refusals of a kind"
    )
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    options = parser.parse_args()
    keep = options.keep.resolve()
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        pristine = Path(scratch) / "pristine"
        pristine.mkdir()
        make_runs(pristine)
        next(iter(TextRecipe(lang="zh", format="raw", sentences="line").tokenize("我看书")), None)
        print(fuzzing.table_head(), flush=True)
        for name, make, read, share in functions(pristine):
            if options.only not in name:
                continue
            began = time.perf_counter()
            seconds = options.seconds * (1 if share == 1 else 4)
            limits = fuzzing.Limits(seconds, options.memory, keep)
            number = max(1, int(options.n * share))
            tally = fuzzing.run(name, number, options.seed, make, read, limits)
            print(fuzzing.table_row(name, tally, time.perf_counter() - began), flush=True)
            if options.messages:
                for message, count in tally.most_frequent():
                    print(f"    {count:6}  {message}", flush=True)
            for failure in tally.failures[:3]:
                print(failure, file=sys.stderr, flush=True)
            failed = failed or bool(tally.failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
