"""The lectures as working code: each lesson shows the numbers of the models that nplm trains.

``run_lesson("ffn", {"activation": "relu"})`` works one out; ``catalogue.CATALOGUE`` lists them.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from nplm_cli.errors import ConfigError
from nplm_cli.lessons.catalogue import find
from nplm_cli.lessons.lesson import Entry, Lesson
from nplm_cli.lessons.parameters import Parameter, read_settings
from nplm_cli.threads import one_thread


def parameters_of(entry: Entry) -> Mapping[str, Parameter]:
    """What may be changed in a lesson."""
    parameters: Mapping[str, Parameter] = import_module(entry.module).PARAMETERS
    return parameters


def run_lesson(
    name: str, values: Mapping[str, Any] | None = None, *, settings: Sequence[str] = ()
) -> Lesson:
    """Work a lesson out; ``values`` by name, or ``settings`` as ``NAME=VALUE``, change defaults.

    Raises ConfigError for a lesson or parameter that does not exist and for impossible values.
    """
    entry = find(name)
    module = import_module(entry.module)
    given = read_settings(name, module.PARAMETERS, settings)
    for key, value in (values or {}).items():
        if key not in given:
            raise ConfigError(f"the lesson {name} has no {key!r}: it has {', '.join(given)}")
        module.PARAMETERS[key].check(key, value)
        given[key] = value
    with one_thread():
        return Lesson(entry, given, module.RUNS, tuple(module.steps(**given)))
