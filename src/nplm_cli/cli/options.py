"""Options made from the settings: names, help texts and defaults stand in ``config/`` alone."""

import dataclasses
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from nplm_cli.architectures import ARCHITECTURES, SPECIAL_SETTINGS
from nplm_cli.config import (
    DEFAULT_LR,
    PRESETS,
    SECTIONS,
    Config,
    HomeworkConfig,
    ModelConfig,
    TrainingConfig,
)
from nplm_cli.config.section import Section
from nplm_cli.errors import ConfigError, did_you_mean
from nplm_cli.query.settings import recorded_settings

PANELS = {
    "corpus": "Text",
    "split": "Split",
    "vocabulary": "Vocabulary",
    "model": "Model",
    "training": "Training",
    "homework": "Study",
}
_OPTION_SECTIONS = SECTIONS | {"homework": HomeworkConfig}

# No setting: nothing of the result depends on it.
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        metavar="N",
        show_default="by size and cores, at most 4",
        help="Processes that cut raw text into words, with the same result.",
        rich_help_panel="Text",
    ),
]


def with_settings(
    *names: str, without: Collection[str] = (), preset: Mapping[str, Any] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option for each setting of the named sections.

    The command takes them as ``**settings``; an option that was not given is None, so that
    presets and config files can stand below what the user said. ``without`` are settings that
    the command chooses itself; the help shows the values of its own ``preset`` as defaults.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        kept = [
            p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        hints = get_type_hints(command, include_extras=True)
        made = [
            parameter
            for name in names
            for parameter in _parameters(_OPTION_SECTIONS[name], name, preset or {})
            if parameter.name not in without
        ]
        command.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[p.replace(annotation=hints[p.name]) for p in kept] + made
        )
        command.__annotations__ = {
            p.name: p.annotation
            for p in command.__signature__.parameters.values()  # type: ignore[attr-defined]
        }
        return command

    return decorate


def _parameters(
    section: type[Section], name: str, preset: Mapping[str, Any]
) -> list[inspect.Parameter]:
    hints = get_type_hints(section)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_annotation(
                field, hints[field.name], PANELS[name], preset.get(field.name, field.default)
            ),
        )
        for field in dataclasses.fields(section)  # type: ignore[arg-type]
    ]


def _annotation(field: dataclasses.Field[Any], hint: Any, panel: str, default: Any) -> Any:
    kinds = [k for k in get_args(hint) if k is not type(None)] if None in _nones(hint) else [hint]
    kind = kinds[0]
    flag = "--" + field.name.replace("_", "-")
    extra: dict[str, Any] = {"help": field.metadata["help"], "rich_help_panel": panel}
    if default not in (None, ()):
        extra["show_default"] = str(default)
    if kind is bool:
        opposite = "--" + (field.metadata["no"] or "no-" + flag[2:])
        extra["show_default"] = flag[2:] if default else opposite[2:]
        return Annotated[bool | None, typer.Option(f"{flag}/{opposite}", **extra)]
    if get_origin(kind) is Literal:
        # Plain text, so that a typo gets the nearest name from the settings' own check.
        extra["metavar"] = "|".join(get_args(kind))
        kind = str
    elif field.metadata["metavar"]:
        extra["metavar"] = field.metadata["metavar"]
    if get_origin(kind) is tuple:  # may be given several times
        kind = list[get_args(kind)[0]]  # type: ignore[misc]
    return Annotated[kind | None, typer.Option(flag, **extra)]


def _nones(hint: Any) -> list[None]:
    return [None for argument in get_args(hint) if argument is type(None)]


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """Keep the settings that the user named."""
    named = {name: value for name, value in settings.items() if value not in (None, [], ())}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in named.items()}


def settings_of_file(path: Path | None) -> Config:
    """Settings in a run's config.json, or in a file of settings alone; defaults without one."""
    return Config() if path is None else recorded_settings(path)


def chosen_settings(config: Config, preset: str | None, chosen: dict[str, Any]) -> Config:
    """Settings from a file (``config``), preset and options; what comes later wins."""
    changes: dict[str, Any] = {}
    if preset is not None:
        if preset not in PRESETS:
            raise ConfigError(
                f"--preset {preset!r}: expected one of {', '.join(PRESETS)}"
                f"{did_you_mean(preset, PRESETS)}"
            )
        changes |= PRESETS[preset]
        if "optimizer" in chosen:
            changes.pop("lr", None)  # the preset's rate is for the optimiser it has in mind
    # One of these sets takes the place of the others, wherever they came from.
    for group in (("epochs", "steps", "budget"), ("vocab", "min_count", "max_size")):
        if any(name in chosen for name in group):
            changes |= dict.fromkeys(group)
        elif any(name in changes for name in group):  # the preset's takes the file's place
            changes = dict.fromkeys(group) | changes
    for name, value in config.model.defaults().items():
        if getattr(config.model, name) == value:  # nobody chose it: it follows what is chosen now
            changes.setdefault(name, None)
    if "optimizer" in chosen and config.training.lr == DEFAULT_LR[config.training.optimizer]:
        changes.setdefault("lr", None)  # the rate was the old optimiser's, nobody chose it
    return config.replace(**(changes | chosen))


def idle_options(config: Config, chosen: Iterable[str]) -> list[str]:
    """Options that the user gave and that do nothing beside the others."""
    model, training = config.model.resolved(), config.training
    own = ARCHITECTURES[model.arch].settings
    hidden_layers = model.layers > 0
    works = {name: name in own for name in SPECIAL_SETTINGS}
    works |= {
        "k": model.smoothing == "addk" and "k" in own,
        "momentum": model.neural and training.optimizer == "momentum",
        "bptt": model.neural and training.context == "stream",
        "average_decay": model.neural and training.average == "ema",
        "average_from": model.neural and training.average == "tail",
        "dropout_ramp": model.neural and any(dataclasses.astuple(training.dropout_rates)[:-1]),
        "samples": model.neural and training.loss != "full",
        "full_from": model.neural and training.loss != "full",
        # Only the full softmax has all of Z.
        "self_normalize": model.neural and (training.loss == "full" or training.full_from < 1),
        "cutoffs": model.neural and model.softmax == "adaptive",
        "tail_division": model.neural and model.softmax == "adaptive" and not model.tie,
        "kernels": model.far > 0 and "kernels" in own,
        "averages": model.far > 0 and "averages" in own,
        "norm_eps": model.norm != "none" and "norm_eps" in own,
        "init_scale": model.neural and model.init != "zero",
        "combine": "combine" in own and model.order > 2,
        "valid_share": config.split.split_by != "none",
        "test_share": config.split.split_by != "none",
    }
    if model.arch != "transformer" and model.layers < 2:  # there is nothing between layers
        works["dropout_hidden"] = False
    drops = training.dropout_rates
    if not (drops.input or drops.output or (drops.hidden and works["dropout_hidden"])):
        works["locked_dropout"] = False
    window = (model.order - 1 if model.combine == "concat" else 1) + model.kernels + model.averages
    if model.layers < 2 and window * model.dim != model.hidden:  # no layer as wide as its input
        works["residual"] = False
    for name in ("hidden", "activation", "hidden_bias", "residual", "gate", "norm"):
        works[name] = works[name] and hidden_layers
    shared = {"arch", "context", "baseline_order"}
    for section in (ModelConfig, TrainingConfig):
        for field in dataclasses.fields(section):
            if field.name not in shared:
                works.setdefault(field.name, model.neural)
    return [name for name in chosen if not works.get(name, True)]
