"""Questions that the figures raise. They state what was measured and conclude nothing."""

from itertools import combinations
from typing import Any

from nplm_cli.reports.summary import (
    corpus_label,
    first_ledger,
    held_out_part,
    model_label,
    perplexities,
    spread,
    unstable_share,
)
from nplm_cli.reports.tables import fixed, percent, rounded
from nplm_cli.reports.texts import Texts

Corpus = dict[str, Any]


def questions(results: dict[str, Any], texts: Texts) -> list[tuple[str, list[str]]]:
    """Questions by what they are about: a corpus (its name), both languages."""
    seeds = len(results["plan"]["seeds"])
    groups = [
        (corpus_label(c, results, texts), _of_corpus(c, seeds, texts)) for c in results["corpora"]
    ]
    if results["alignment"] is not None:
        groups.append((texts("section.bilingual"), _bilingual(results, texts)))
    return [(name, found) for name, found in groups if found]


def _bilingual(results: dict[str, Any], texts: Texts) -> list[str]:
    found = []
    for arch, result in results["alignment"].items():
        chance = (result.get("permutation") or {}).get("accuracy_mean")
        accuracy = result["accuracy"]["csls"].get("1")
        if chance is not None and accuracy is not None:
            found.append(
                texts(
                    "question.alignment",
                    model=model_label(arch),
                    accuracy=percent(accuracy),
                    chance=percent(chance),
                    pairs=result["pairs_covered"],
                )
            )
    return found


def _of_corpus(corpus: Corpus, seeds: int, texts: Texts) -> list[str]:
    return [
        *_perplexity_differences(corpus, seeds, texts),
        *_baselines(corpus, texts),
        *_capacity(corpus, texts),
        *_spaces(corpus, texts),
        *_neighbors(corpus, seeds, texts),
    ]


def _perplexity_differences(corpus: Corpus, seeds: int, texts: Texts) -> list[str]:
    found = []
    part = held_out_part(corpus)
    for (a, of_a), (b, of_b) in combinations(perplexities(corpus).items(), 2):
        values = {
            "part": texts(f"part.{part}"),
            "a": model_label(a),
            "b": model_label(b),
            "of_a": rounded(of_a.mean),
            "of_b": rounded(of_b.mean),
            "difference": rounded(abs(of_a.mean - of_b.mean)),
            "spread_a": rounded(of_a.width),
            "spread_b": rounded(of_b.width),
            "seeds": seeds,
        }
        found.append(texts("question.ppl" if seeds > 1 else "question.ppl_one", **values))
    return found


def _baselines(corpus: Corpus, texts: Texts) -> list[str]:
    part, ledger = held_out_part(corpus), first_ledger(corpus)
    if part is None or ledger is None:
        return [texts("question.no_held_out")]
    baselines = ledger.get("baselines") or {}
    found = []
    if (accuracy := baselines.get("always_unk_accuracy")) is not None:
        known = {
            model["arch"]: spread(run[part]["ppl_excluding_oov"] for run in model["seeds"])
            for model in corpus["models"]
        }
        listed = [f"{model_label(a)} {rounded(s.mean)}" for a, s in known.items() if s]
        found.append(
            texts(
                "question.unk",
                part=texts(f"part.{part}"),
                share=percent(accuracy),
                known=texts.listed(listed),
            )
        )
    if kneser_ney := baselines.get("kneser_ney"):
        listed = [f"{model_label(a)} {rounded(s.mean)}" for a, s in perplexities(corpus).items()]
        found.append(
            texts(
                "question.kneser_ney",
                order=kneser_ney.get("order", "?"),
                words=(kneser_ney.get("order") or 1) - 1,
                ppl=rounded(kneser_ney["ppl"]),
                models=texts.listed(listed),
            )
        )
    return found


def _capacity(corpus: Corpus, texts: Texts) -> list[str]:
    models = corpus["models"]
    if len(models) < 2:
        return []
    parts = []
    for model in models:
        sees = model["context"]
        reach = texts("model.unbounded") if sees is None else texts("model.sees", n=sees)
        parts.append(
            texts(
                "question.capacity_of",
                model=model_label(model["arch"]),
                parameters=f"{model['parameters']:,}",
                reach=reach,
            )
        )
    return [texts("question.capacity", models=texts.listed(parts))]


def _spaces(corpus: Corpus, texts: Texts) -> list[str]:
    comparison = corpus["comparison"]
    found = []
    for pair in comparison["group_pairs"] if comparison else []:
        measure = pair["overlap"]
        if measure["between"] is None:
            continue
        values = {
            "a": model_label(pair["a"]),
            "b": model_label(pair["b"]),
            "k": comparison["k"],
            "between": fixed(measure["between"], 3),
            "chance": fixed(comparison["chance"]["overlap"], 3),
        }
        if measure["floor"] is None:
            found.append(texts("question.overlap_one", **values))
        else:
            values["floor"] = fixed(measure["floor"], 3)
            values["difference"] = fixed(measure["difference"], 3)
            found.append(texts("question.overlap", **values))
    return found


def _neighbors(corpus: Corpus, seeds: int, texts: Texts) -> list[str]:
    found = []
    shares = {m["arch"]: unstable_share(corpus, m["arch"], seeds) for m in corpus["models"]}
    listed = [f"{model_label(a)} {percent(s, 0)}" for a, s in shares.items() if s is not None]
    if listed:
        found.append(texts("question.unstable", models=texts.listed(listed), seeds=seeds))
    words = sorted(corpus["words"], key=lambda word: word["rank"])
    if len(words) > 1:
        found.append(
            texts(
                "question.frequency",
                frequent=words[0]["word"],
                many=f"{words[0]['count']:,}",
                rare=words[-1]["word"],
                few=f"{words[-1]['count']:,}",
            )
        )
    return found
