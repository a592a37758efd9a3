"""Results of a homework as ``write_report`` takes them, made up: small, odd, and all keys there."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nplm_cli.reports import write_report
from nplm_cli.reports.projection import maps

ODD_WORDS = [
    "<script>window.injected=1</script>", "$x$", "|", "`code`", "]]>", "{{ 7*7 }}", "\x1b[31m", "\u202etxet",
    "a\u2028b", "</title>", "javascript:", "=1+1", '"><img src=x onerror="window.injected=1">', "&amp;",
    "<!--", "{% raw %}", "\\", "*b*", "_i_", "\uffff", "](http://x)", "-1", "\ud800",
]  # fmt: skip
WORDS = {
    "zh": ["书", "杂志", "报纸", "小说", "苹果", "梨", "香蕉", "桃子", "猫", "狗", "马", "牛", "北京", "上海", "广州", "天津", "今天", "明天", "昨天", "后天", "老师", "学生", "校长", "同学", "喜欢", "讨厌", "热爱", "想念", "红", "绿", "蓝", "黄", "一", "二", "三", "四", "春天", "夏天", "秋天", "冬天", "汽车", "火车", "飞机", "轮船", "电视", "电影", "音乐", "戏剧"],
    "en": ["book", "magazine", "newspaper", "novel", "apple", "pear", "banana", "peach", "cat", "dog", "horse", "cow", "paris", "london", "madrid", "rome", "today", "tomorrow", "yesterday", "tonight", "teacher", "student", "principal", "classmate", "likes", "hates", "loves", "misses", "red", "green", "blue", "yellow", "one", "two", "three", "four", "spring", "summer", "autumn", "winter", "car", "train", "plane", "ship", "television", "film", "music", "drama"],
}  # fmt: skip
TITLES = {
    "ffn": "feedforward window model (Bengio et al. 2003)",
    "rnn": "simple recurrent network (Elman 1990)",
    "lstm": "long short-term memory (Hochreiter & Schmidhuber 1997)",
}
HASH = "1530df513c65f98425e3e02c62ad0ed91a7a44de576ff9841e10c48d1998f963"


def ledger(ppl: float, unk: float = 0.3366) -> dict[str, Any]:
    return {
        "schema": 1, "context": "sentence", "order": 5, "stride": None, "words": 88873, "sentences": 1681,
        "predictions": 90554, "oov": 29913, "oov_share": unk, "characters": 140311,
        "nll_nats_total": 90554 * math.log(ppl), "zero_probability": 0, "ppl": ppl, "ppl_without_eos": ppl * 1.02,
        "ppl_excluding_oov": ppl * 1.7, "ppl_oov_adjusted": ppl * 40, "oov_adjusted_reason": None,
        "bits_per_char": math.log2(ppl * 40) * 0.64,
        "baselines": {
            "always_unk_accuracy": unk * 0.98, "unigram": {"ppl": 78.33, "nll_nats_total": 1.0, "order": 1},
            "kneser_ney": {"ppl": 33.15, "nll_nats_total": 1.0, "order": 3}, "notes": [],
        },
        "ppl_ratio_to_kneser_ney": {"ratio": ppl / 33.15, "interval_95": [ppl / 33.9, ppl / 32.4]},
    }  # fmt: skip


def _model(arch: str, level: float, seeds: int, *, held_out: bool) -> dict[str, Any]:
    random = np.random.default_rng(len(arch) * 7 + ord(arch[0]))
    records = []
    for seed in range(1, seeds + 1):
        end = level * (1 + 0.012 * random.standard_normal())
        curve = [
            {
                "step": 500 * e, "epoch": float(e), "tokens": 190_000 * e, "seconds": 7.3 * e,
                "train_ppl": end * (0.92 + 1.6 / e**1.3),
                "valid_ppl": end * (1 + 1.1 / e**1.6) if held_out else None, "best": e > 5,
            }
            for e in range(1, 9)
        ]  # fmt: skip
        records.append({
            "seed": seed, "run": f"runs/{arch}-{seed}", "valid": ledger(end) if held_out else None,
            "test": ledger(end * 1.03) if held_out else None,
            "training": {"parameters": 23_512, "steps": 4000, "epochs": 8, "tokens": 1_520_000,
                         "seconds": 58.4 + seed, "best_step": 4000, "stopped": "length"},
            "tokens_per_second": 25_900.0 + 700 * seed, "curve": curve,
        })  # fmt: skip
    return {
        "arch": arch, "title": TITLES[arch], "parameters": 23_512 + len(arch), "embedding_parameters": 10_020,
        "context": 4 if arch == "ffn" else None,
        "settings": {"arch": arch, "order": 5, "combine": "concat", "dim": 10, "hidden": 64, "layers": 1,
                     "activation": "tanh", "tie": False},
        "seeds": records,
    }  # fmt: skip


def _neighbors(vectors_ND: np.ndarray, query: int, k: int) -> list[tuple[int, float]]:
    unit_ND = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    cosines_N = unit_ND @ unit_ND[query]
    order = [int(row) for row in np.argsort(-cosines_N, kind="stable") if row != query]
    return [(row, float(cosines_N[row])) for row in order[:k]]


def _comparison(archs: list[str], seeds: int, words: list[str]) -> dict[str, Any]:
    spaces = [
        {"name": f"runs/{arch}-{seed}", "group": arch}
        for arch in archs
        for seed in range(1, seeds + 1)
    ]
    random = np.random.default_rng(3)
    pairs = [
        {"a": a, "b": b, "same_group": spaces[a]["group"] == spaces[b]["group"],
         "overlap": float(0.4 + 0.1 * random.random()), "aligned_cosine": 0.6, "rsa": 0.5}
        for a in range(len(spaces)) for b in range(a + 1, len(spaces))
    ]  # fmt: skip
    floor = 0.62 if seeds > 1 else None

    def measure(between: float) -> dict[str, Any]:
        if floor is None:
            return {
                "between": between,
                "floor": None,
                "difference": None,
                "interval_95": None,
                "below_floor": None,
            }
        gap = between - floor
        return {"between": between, "floor": floor, "difference": gap,
                "interval_95": [gap - 0.03, gap + 0.03], "below_floor": gap < -0.05}  # fmt: skip

    group_pairs = [
        {
            "a": a,
            "b": b,
            "overlap": measure(0.41 + 0.2 * i),
            "aligned_cosine": measure(0.58),
            "rsa": measure(0.52),
        }
        for i, (a, b) in enumerate((a, b) for n, a in enumerate(archs) for b in archs[n + 1 :])
    ]
    within = {
        "overlap": floor,
        "aligned_cosine": 0.71 if floor else None,
        "rsa": 0.66 if floor else None,
    }
    return {
        "schema": 1, "k": 10, "words": 998, "folds": 5, "rsa_words": 998, "resamples": 1000, "seed": 1,
        "groups": archs, "chance": {"overlap": 10 / 997}, "pairs": pairs, "spaces": spaces,
        "within": {arch: dict(within, runs=seeds) for arch in archs}, "group_pairs": group_pairs,
        "most_different_words": [
            {"a": pair["a"], "b": pair["b"], "by_chance": 0.25,
             "words": [{"word": word, "floor": floor, "between": 0.1} for word in words[:5]]}
            for pair in group_pairs if floor
        ],
    }  # fmt: skip


def build_corpus(
    lang: str = "zh", *, key: str = "first", seeds: int = 3, held_out: bool = True, odd: bool = True,
    queries: int = 6, k: int = 10, archs: tuple[str, ...] = ("ffn", "rnn", "lstm"), words: int = 48,
) -> dict[str, Any]:  # fmt: skip
    vocabulary = WORDS[lang][:words] + (ODD_WORDS if odd else [])
    random = np.random.default_rng(1)
    base_ND = random.standard_normal((len(vocabulary), 10)) * 0.6
    base_ND += (
        1.2
        * np.repeat(random.standard_normal((len(vocabulary) // 4 + 1, 10)), 4, axis=0)[
            : len(vocabulary)
        ]
    )
    counts = [int(40_000 / (row + 3)) for row in range(len(vocabulary))]
    spaces = {
        (arch, seed): base_ND + 0.55 * random.standard_normal(base_ND.shape)
        for arch in archs for seed in range(1, seeds + 1)
    }  # fmt: skip
    rows = [4 * i for i in range(min(queries, len(vocabulary) // 4))]
    rows += list(range(words, words + 4)) if odd else []
    records = []
    for row in rows:
        lists = {}
        for arch in archs:
            found = [
                {n for n, _ in _neighbors(spaces[arch, s], row, k)} for s in range(1, seeds + 1)
            ]
            lists[arch] = [
                {
                    "word": vocabulary[n],
                    "cosine": cosine,
                    "count": counts[n],
                    "seeds": sum(n in f for f in found),
                }
                for n, cosine in _neighbors(spaces[arch, 1], row, k)
            ]
        records.append(
            {"word": vocabulary[row], "count": counts[row], "rank": row + 101, "lists": lists}
        )
    shown = list(dict.fromkeys(
        row for q in rows for row in [q, *(n for arch in archs for n, _ in _neighbors(spaces[arch, 1], q, 3))]
    ))  # fmt: skip
    size = len(vocabulary) + 2
    part = {
        "sentences": 19_484,
        "words": 900_000,
        "predictions": 919_484,
        "oov": 300_000,
        "characters": 1_500_000,
    }
    share = {"train": 0.333, **({"valid": 0.3366, "test": 0.341} if held_out else {})}
    return {
        "key": key, "name": f"words_$1_.{lang}.txt", "lang": lang,
        "data": {
            "sources": {name: {"inputs": [f"data/{name}|x.txt"], "sha256": HASH, "sentences": 19_484, "lines": 7} for name in share},
            "split_unit": "document", "parts": dict.fromkeys(share, part), "vocabulary_size": size,
            "unk_types": 53_000, "unk_reason": None, "notes": ["a note of the cut: <b>"],
            "recipe": {"lang": lang, "format": "segmented", "sentences": "line"}, "oov_share": share, "repeated_share": {"valid": 0.0123},
            "coverage": [
                {"size": n, "types": n, "covered_tokens": 900_000 - 900_000 * 33 // n, "unk_tokens": 900_000 * 33 // n, "unk_share": 33 / n}
                for n in (1000, 5000, 20_000)
            ],
        },
        "models": [
            _model(arch, level, seeds, held_out=held_out)
            for arch, level in zip(("ffn", "rnn", "lstm"), (30.1, 29.4, 27.8), strict=True) if arch in archs
        ],
        "words": [{key: record[key] for key in ("word", "count", "rank")} for record in records],
        "drawn_ranks": [101, size],
        "neighbors": records,
        "comparison": _comparison(list(archs), seeds, vocabulary[-4:]) if len(archs) * seeds > 1 else None,
        "maps": {
            "words": [vocabulary[row] for row in shown], "of_query": [shown.index(row) for row in rows],
            "by_arch": {arch: maps(spaces[arch, 1][shown], 1) for arch in archs},
        },
        "norms": {
            "ranks": list(range(1, len(vocabulary) + 1)), "counts": counts,
            "by_arch": {arch: np.linalg.norm(spaces[arch, 1], axis=1).tolist() for arch in archs},
        },
    }  # fmt: skip


def _alignment() -> dict[str, Any]:
    return {
        "accuracy": {"csls": {"1": 0.11, "5": 0.3, "10": 0.44}, "cosine": {"1": 0.09, "5": 0.28, "10": 0.4}},
        "interval_95": {"csls": {"1": [0.06, 0.18], "5": [0.2, 0.4], "10": [0.3, 0.5]}},
        "permutation": {"accuracy_mean": 0.012, "accuracy_max": 0.03, "p_value": 0.0476, "n": 20},
        "pairs_in_dictionary": 120, "pairs_covered": 96, "source_words": 90, "oov": {"source": 4, "target": 20},
        "pairs": [
            {"source": s, "target": t, "cosine_before": None if i else 0.04, "cosine_after": 0.6 - 0.1 * i, "rank": i + 1,
             "neighbors": [t, "novel", "<b>"]}
            for i, (s, t) in enumerate([("书", "book"), ("苹果", "apple"), ("狗", "dog"), ("<i>", "|")])
        ],
        "random_cosine": 0.013, "folds": 5, "csls": 10, "seed": 1, "dim": 10,
    }  # fmt: skip


def build_results(*corpora: dict[str, Any], **options: Any) -> dict[str, Any]:
    """One corpus with odd words unless corpora are given; two corpora are aligned."""
    found = list(corpora) or [build_corpus(**options)]
    archs = [model["arch"] for model in found[0]["models"]]
    seeds = [record["seed"] for record in found[0]["models"][0]["seeds"]]
    return copy.deepcopy({
        "schema": 1, "nplm": "0.1.0", "finished": "2026-11-21T12:34:56Z",
        "command": ["nplm", "homework", "corpus $1.txt", "--out", "report"],
        "plan": {"archs": archs, "seeds": seeds, "k": 10, "sample": 6, "sample_seed": 1, "words_file": None,
                 "workers": 2, "preset": "homework", "wall_seconds": 812.3},
        "settings": {
            "corpus": {"lang": "auto", "format": "auto", "encoding": "auto", "sentences": "auto", "blank_lines": "skip",
                       "compounds": "open", "keep_pos": False, "lowercase": False, "fold_width": True},
            "split": {"split_by": "hash", "valid_share": 0.05, "test_share": 0.05},
            "vocabulary": {"max_size": 1000, "min_count": None, "vocab": None},
            "model": {"arch": "ffn", "order": 5, "combine": "concat", "dim": 10, "hidden": 64, "layers": 1,
                      "activation": None, "tie": None},
            "training": {"context": "sentence", "optimizer": "adamw", "lr": None, "momentum": 0.9, "l2": 0.0,
                         "dropout": 0.1, "batch": 32, "bptt": 32, "clip": 5.0, "schedule": "linear", "warmup": 0.02,
                         "epochs": 8, "steps": None, "budget": None, "patience": 2, "stop_on": "valid",
                         "average": "none", "seed": 1, "device": "auto", "threads": None, "baseline_order": 3},
        },
        "environment": {"python": "3.11.7", "platform": "Linux", "processor": "x86_64", "numpy": "2.4.6",
                        "torch": "2.13.0", "threads": 2},
        "corpora": found, "alignment": {arch: _alignment() for arch in archs} if len(found) == 2 else None,
    })  # fmt: skip


@pytest.fixture(scope="session")
def make_corpus() -> Callable[..., dict[str, Any]]:
    return build_corpus


@pytest.fixture(scope="session")
def make_results() -> Callable[..., dict[str, Any]]:
    return build_results


def rewrite_results(
    results: dict[str, Any], archs: tuple[str, ...], words: slice = slice(None)
) -> dict[str, Any]:
    """The same homework written again: these architectures in this order, some of its words."""
    found = copy.deepcopy(results)
    found["plan"]["archs"] = list(archs)
    for corpus in found["corpora"]:
        models = {model["arch"]: model for model in corpus["models"]}
        corpus["models"] = [models[arch] for arch in archs]
        for key in ("words", "neighbors"):
            corpus[key] = corpus[key][words]
        for query in corpus["neighbors"]:
            query["lists"] = {arch: query["lists"][arch] for arch in archs}
    # What the results tell of settings is of the first model, with what its architecture fills in.
    found["settings"]["model"] |= {
        "arch": archs[0], "activation": None if archs[0] == "lstm" else "tanh", "tie": False,
    }  # fmt: skip
    return found


@pytest.fixture(scope="session")
def rewritten() -> Callable[..., dict[str, Any]]:
    return rewrite_results


@pytest.fixture(scope="session")
def odd_words() -> list[str]:
    return ODD_WORDS


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Folders with reports by kind and language, each written once. Read only."""
    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "plain": build_results,
        "two": lambda: build_results(
            build_corpus("zh", queries=3), build_corpus("en", key="second", odd=False, queries=3)
        ),
        "one_seed": lambda: build_results(seeds=1, queries=2),
        "not_held_out": lambda: build_results(held_out=False, queries=2, archs=("ffn", "lstm")),
        "tiny": lambda: build_results(words=4, odd=False, queries=1, archs=("ffn",), seeds=1),
    }
    written: dict[tuple[str, str], Path] = {}

    def folder(kind: str, lang: str) -> Path:
        if (kind, lang) not in written:
            path = tmp_path_factory.mktemp(f"{kind}-{lang}")
            write_report(path, kinds[kind](), lang)  # type: ignore[arg-type]
            written[kind, lang] = path
        return written[kind, lang]

    return folder
