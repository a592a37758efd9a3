"""What was done, as a paragraph made from the settings."""

from pathlib import Path
from typing import Any

from nplm_cli.config.training import DEFAULT_EPOCHS, DEFAULT_LR
from nplm_cli.reports.summary import corpus_label, model_label
from nplm_cli.reports.tables import percent
from nplm_cli.reports.texts import Texts

Results = dict[str, Any]
RECURRENT = ("rnn", "gru", "lstm")


def method(results: Results, texts: Texts) -> list[str]:
    """Paragraphs: text and vocabulary, models, training, words that were looked at."""
    corpora = [_reading(corpus, results, texts) for corpus in results["corpora"]]
    return [*corpora, _models(results, texts), _training(results, texts), _queries(results, texts)]


def _reading(corpus: dict[str, Any], results: Results, texts: Texts) -> str:
    data, split = corpus["data"], results["settings"]["split"]
    recipe, parts = data["recipe"], data["parts"]
    said = [
        texts(
            "method.reading",
            name=corpus_label(corpus, results, texts),
            format=texts.named("format", recipe.get("format")),
            lang=texts.named("language", corpus["lang"]),
            unit=texts.named("sentence_unit", recipe.get("sentences")),
        )
    ]
    if data["split_unit"] == "none":
        names = texts.listed([texts(f"part.{part}") for part in parts])
        said.append(
            texts("method.split_given" if len(parts) > 1 else "method.no_split", parts=names)
        )
    else:
        said.append(
            texts(
                "method.split",
                unit=texts.named("split_unit", data["split_unit"]),
                by=texts.named("split_by", split["split_by"]),
                valid=percent(split["valid_share"], 0),
                test=percent(split["test_share"], 0),
            )
        )
    said.append(texts("method.vocabulary", size=f"{data['vocabulary_size']:,}"))
    if data["unk_types"] is not None:
        said.append(texts("method.unk_types", types=f"{data['unk_types']:,}"))
    else:
        known = "unk_in_text" if data["oov_share"]["train"] else "unk_nowhere"
        said.append(texts(f"method.{known}"))
    return texts.joined(said)


def _models(results: Results, texts: Texts) -> str:
    said = [texts("method.models", n=len(results["plan"]["archs"]))]
    for model in results["corpora"][0]["models"]:
        settings, arch = model["settings"], model["arch"]
        title = texts(f"arch.{arch}") if texts.has(f"arch.{arch}") else model["title"]
        known = texts.has(f"method.shape.{arch}")
        said.append(
            texts(
                f"method.shape.{arch if known else 'other'}",
                label=model_label(arch),
                title=title,
                n=settings.get("order"),
                words=model["context"],
                combine=texts.named("combine", settings.get("combine")),
                dim=settings.get("dim"),
                hidden=settings.get("hidden"),
                layers=settings.get("layers"),
                activation=settings.get("activation") or "tanh",
            )
        )
    tied = {bool(model["settings"].get("tie")) for model in results["corpora"][0]["models"]}
    if len(tied) == 1:
        said.append(texts("method.tied" if tied.pop() else "method.untied"))
    said.append(texts("method.input_vectors"))
    return texts.joined(said)


def _training(results: Results, texts: Texts) -> str:
    training = results["settings"]["training"]
    if training.get("budget"):
        length = texts("method.length.budget", budget=training["budget"])
    elif training.get("steps"):
        length = texts("method.length.steps", steps=f"{training['steps']:,}")
    else:
        length = texts("method.length.epochs", epochs=training.get("epochs") or DEFAULT_EPOCHS)
    rate = training.get("lr") or DEFAULT_LR.get(training["optimizer"])
    clip = training.get("clip")
    said = [
        texts(
            "method.training",
            optimizer=training["optimizer"],
            lr="–" if rate is None else f"{rate:g}",
            schedule=texts.named("schedule", training["schedule"]),
            batch=training["batch"],
            dropout=f"{training['dropout']:g}",
            l2=f"{training['l2']:g}",
            length=length,
        ),
        texts("method.clip", clip=f"{clip:g}") if clip else texts("method.no_clip"),
        texts("method.context." + ("stream" if training["context"] == "stream" else "sentence")),
    ]
    if training.get("patience"):
        said.append(texts("method.patience", n=training["patience"]))
    seeds = results["plan"]["seeds"]
    listed = texts.listed([str(seed) for seed in seeds])
    said.append(texts("method.seeds" if len(seeds) > 1 else "method.one_seed", seeds=listed))
    return texts.joined(said)


def _queries(results: Results, texts: Texts) -> str:
    plan = results["plan"]
    said = []
    for corpus in results["corpora"]:
        values = {"n": len(corpus["words"]), "name": corpus_label(corpus, results, texts)}
        if corpus["drawn_ranks"] is None:
            file = Path(plan["words_file"]).name
            said.append(texts("method.words_file", file=file, **values))
        else:
            low, high = (f"{rank:,}" for rank in corpus["drawn_ranks"])
            values |= {"seed": plan["sample_seed"], "low": low, "high": high}
            said.append(texts("method.words_drawn", **values))
    said.append(texts("method.neighbors", k=plan["k"]))
    return texts.joined(said)
