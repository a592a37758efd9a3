"""Everything a user asks of a finished run, in numpy: no command here loads torch."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

_NAMES = {
    "ffn": "feedforward",
    "rnn": "recurrent",
    "gru": "recurrent",
    "lstm": "recurrent",
    "attention": "attention",
    "transformer": "transformer",
}


class _Twins(Mapping[str, ModuleType]):
    """Modules of this package by architecture, each imported when it is first asked for."""

    def __getitem__(self, arch: str) -> ModuleType:
        return import_module(f"nplm_cli.query.{_NAMES[arch]}")

    def __contains__(self, arch: object) -> bool:
        return arch in _NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


# Architecture -> module with expected_shapes, initial_state and forward; their settings are
# resolved, as those of the torch models are.
FORWARD: Mapping[str, ModuleType] = _Twins()
