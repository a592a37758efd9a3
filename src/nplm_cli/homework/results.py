"""What the trained models say: the object that results.json holds and the report shows."""

import datetime
import hashlib
import itertools
import math
import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nplm_cli import __version__, events
from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.artifacts import is_figure, read_json_lines
from nplm_cli.corpus.preparation import DATA_FOLDER
from nplm_cli.corpus.shards import Part, open_parts
from nplm_cli.corpus.vocabulary import COVERAGE_SIZES, coverage
from nplm_cli.homework.plan import CORPORA, Plan, PlannedRun
from nplm_cli.homework.questions import Chosen, Questions
from nplm_cli.homework.words import Word
from nplm_cli.query.run import Run
from nplm_cli.vectors.comparison import MIN_WORDS, Space, compare_vectors

SCHEMA = 1
# A short sentence occurs twice by chance, above all when rare words are all <unk>.
REPEATED_WORDS = 8
# More points would hide each other in a plot.
MAX_POINTS = 2000
MAPPED_NEIGHBORS = 5

RunsOf = dict[str, list[tuple[PlannedRun, Run]]]


def gather(
    plan: Plan,
    folder: Path,
    questions: Questions,
    command: Sequence[str],
    *,
    wall_seconds: float | None,
    workers: int,
    on_event: events.OnEvent = events.ignore,
) -> dict[str, Any]:
    """Return the results of a homework whose runs are all trained.

    ``questions`` have been put to them (``Questions.put_to``).
    ``wall_seconds`` is the time that all trainings took, None when they were not done in one go.
    """
    runs: dict[str, RunsOf] = {}
    for planned in plan.runs(folder):
        by_arch = runs.setdefault(planned.corpus, {})
        by_arch.setdefault(planned.arch, []).append((planned, Run(planned.folder)))
    homework = plan.homework
    first = next(iter(runs["first"].values()))[0][1]
    return {
        "schema": SCHEMA,
        "nplm": __version__,
        "finished": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": ["nplm", *command],
        "plan": {
            "archs": list(homework.architectures),
            "seeds": list(plan.seeds),
            "k": homework.top,
            "sample": homework.random,
            "sample_seed": homework.random_seed,
            "band": homework.band,
            "words_file": homework.words,
            "dictionary": homework.dictionary,
            "workers": workers,
            "preset": plan.preset,
            "wall_seconds": wall_seconds and round(wall_seconds, 1),
        },
        "settings": first.config.to_json(),
        "environment": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            **first.record["environment"],
        },
        "corpora": [
            _corpus(key, by_arch, plan, questions.chosen[key], on_event)
            for key, by_arch in runs.items()
        ],
        "alignment": _alignment(runs, questions.pairs, on_event),
    }


def _processor() -> str:
    """Name of the processor, where the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _corpus(
    key: str, runs: RunsOf, plan: Plan, chosen: Chosen, on_event: events.OnEvent
) -> dict[str, Any]:
    first = next(iter(runs.values()))[0][1]
    sources = first.record["data"]["sources"]["train"]["inputs"]
    words = chosen.words
    neighbors = _neighbors(runs, words, plan.homework.top)
    members = [(planned, run) for of_arch in runs.values() for planned, run in of_arch]
    on_event(events.Progress("comparing vectors", 0, None, f"{len(members)} models"))
    comparison = None
    if len(members) > 1 and len(first.vocabulary) - 2 >= MIN_WORDS:
        comparison = compare_vectors(
            [Space(p.folder.name, run.keyed_vectors(), p.arch, p.seed) for p, run in members],
            k=plan.homework.top,
            on_event=on_event,
        )
    return {
        "key": key,
        "folder": CORPORA[key],
        "name": ", ".join("-" if path == "-" else Path(path).name for path in sources),
        "lang": first.recipe.lang,
        "data": _data(first),
        "models": [_model(arch, of_arch) for arch, of_arch in runs.items()],
        "words": [word.__dict__ for word in words],
        "drawn_ranks": chosen.drawn_ranks,
        "neighbors": neighbors,
        "comparison": comparison,
        "maps": _maps(runs, words, neighbors),
        "norms": _norms(runs),
    }


def _data(run: Run) -> dict[str, Any]:
    parts = open_parts(run.folder / DATA_FOLDER)
    seen = set(_long_sentences(parts["train"])) if len(parts) > 1 else set()
    vocabulary = run.vocabulary
    counts = dict(zip(vocabulary.tokens[2:], vocabulary.counts[2:].tolist(), strict=True))
    listed = run.unknown_counts
    known_types = len(counts)
    return {
        **run.record["data"],
        "recipe": run.recipe.to_json(),
        "oov_share": {n: part.oov() / max(part.words, 1) for n, part in parts.items()},
        "types": known_types + (run.unknown_types.types or len(listed)),
        "coverage": [row.__dict__ for row in coverage({**counts, **listed}, COVERAGE_SIZES)],
        "repeated_share": {
            name: _repeated_share(seen, part) for name, part in parts.items() if name != "train"
        },
    }


def _repeated_share(seen: set[bytes], part: Part) -> float | None:
    """Share of the long sentences of a part that are ``seen``, those of the training text."""
    own = list(_long_sentences(part))
    return sum(sentence in seen for sentence in own) / len(own) if own else None


def _long_sentences(part: Part) -> Iterator[bytes]:
    """A digest of each long sentence: a large text is not to be held in memory."""
    ids_N = np.asarray(part.ids_N)
    for begin, end in itertools.pairwise(part.starts.tolist()):
        if end - begin > REPEATED_WORDS:
            yield hashlib.blake2b(ids_N[begin:end].tobytes(), digest_size=16).digest()


def _model(arch: str, runs: list[tuple[PlannedRun, Run]]) -> dict[str, Any]:
    first = runs[0][1]
    return {
        "arch": arch,
        "title": ARCHITECTURES[arch].title,
        "parameters": first.parameters,
        "embedding_parameters": math.prod(first.weights.shape("embedding.weight")),
        "context": first.config.model.context,
        "settings": first.config.model.to_json(),
        "seeds": [_trained(planned, run) for planned, run in runs],
    }


def _trained(planned: PlannedRun, run: Run) -> dict[str, Any]:
    report = run.report()
    assert report is not None
    curve = _curve(run.folder / "metrics.jsonl")
    speeds = [record["tokens_per_second"] for record in curve]
    return {
        "seed": planned.seed,
        "run": planned.name,
        "valid": report["valid"],
        "test": report["test"],
        "training": report["training"],
        "tokens_per_second": statistics.median(speeds) if speeds else None,
        "curve": curve,
    }


def _curve(path: Path) -> list[dict[str, Any]]:
    """Evaluations of a training; a line cut short by a crash, or damaged, is left out."""
    return [record for _, record in read_json_lines(path) if _can_be_drawn(record)]


def _can_be_drawn(record: dict[str, Any]) -> bool:
    """Whether an evaluation has the figures that the report shows."""
    keys = ["step", "epoch", "train_ppl", "tokens_per_second", "valid_ppl"]
    if "valid_ppl" in record and record["valid_ppl"] is None:  # trained without such a text
        keys.remove("valid_ppl")
    return all(is_figure(record.get(key)) for key in keys)


def _neighbors(runs: RunsOf, words: Sequence[Word], k: int) -> list[dict[str, Any]]:
    """Nearest words by the first seed's models; in how many seeds each is among the k nearest."""
    queries = [word.word for word in words]
    lists: dict[str, list[list[dict[str, Any]]]] = {}
    for arch, of_arch in runs.items():
        by_seed = [run.keyed_vectors().neighbors(queries, k=k) for _, run in of_arch]
        lists[arch] = [
            [
                {
                    "word": neighbor.word,
                    "cosine": neighbor.score,
                    "count": neighbor.count,
                    "seeds": sum(
                        neighbor.word in {other.word for other in found[q]} for found in by_seed
                    ),
                }
                for neighbor in by_seed[0][q]
            ]
            for q in range(len(queries))
        ]
    return [
        {**word.__dict__, "lists": {arch: found[q] for arch, found in lists.items()}}
        for q, word in enumerate(words)
    ]


def _maps(
    runs: RunsOf, words: Sequence[Word], neighbors: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Places in the plane of the words and of their nearest words by any architecture."""
    from nplm_cli.reports.projection import maps

    shown = {word.word: number for number, word in enumerate(words)}
    for number, entry in enumerate(neighbors):
        for found in entry["lists"].values():
            for neighbor in found[:MAPPED_NEIGHBORS]:
                shown.setdefault(neighbor["word"], number)
    by_arch = {}
    for arch, of_arch in runs.items():
        planned, run = of_arch[0]
        keyed = run.keyed_vectors()
        rows = [keyed.index[word] for word in shown]
        by_arch[arch] = maps(np.asarray(keyed.vectors[rows], np.float64), planned.seed)
    return {"words": list(shown), "of_query": list(shown.values()), "by_arch": by_arch}


def _norms(runs: RunsOf) -> dict[str, Any]:
    """Lengths of the word vectors beside the frequencies, evenly spread over log rank."""
    first = next(iter(runs.values()))[0][1]
    size = len(first.vocabulary) - 2
    ranks = np.unique(np.geomspace(1, size, MAX_POINTS).round().astype(int)).tolist()
    by_arch = {}
    for arch, of_arch in runs.items():
        vectors = of_arch[0][1].keyed_vectors().vectors
        by_arch[arch] = [float(np.linalg.norm(vectors[rank + 1])) for rank in ranks]
    return {
        "ranks": ranks,
        "counts": [int(first.vocabulary.counts[rank + 1]) for rank in ranks],
        "by_arch": by_arch,
    }


def _alignment(
    runs: dict[str, RunsOf], pairs: list[tuple[str, str]] | None, on_event: events.OnEvent
) -> dict[str, Any] | None:
    """The second corpus' language seen from the first's, for each architecture's first seed."""
    if pairs is None:
        return None
    from nplm_cli.vectors.alignment import align

    return {
        arch: align(
            of_arch[0][1].keyed_vectors(),
            runs["second"][arch][0][1].keyed_vectors(),
            pairs,
            on_event=on_event,
        )
        for arch, of_arch in runs["first"].items()
    }
