"""What turns the results of a function a little, to see whether a lesson's numbers follow."""

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import numpy as np
import pytest
import torch


def turned(result):
    """The same kind of thing with other numbers."""
    if isinstance(result, torch.optim.Optimizer):
        for group in result.param_groups:
            group["lr"] *= 1.5
        return result
    if isinstance(result, torch.nn.Module):
        return result
    if isinstance(result, torch.Tensor | np.ndarray):
        floating = result.dtype.is_floating_point if torch.is_tensor(result) else (
            np.issubdtype(result.dtype, np.floating)
        )  # fmt: skip
        return result * 1.25 + 0.03 if floating else result + (result.dtype != torch.bool)
    if isinstance(result, bool) or result is None or isinstance(result, str):
        return result
    if isinstance(result, int):
        return result + 1
    if isinstance(result, float):
        return result * 1.25 + 0.03
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*map(turned, result))
    if isinstance(result, tuple | list):
        return type(result)(map(turned, result))
    if isinstance(result, dict):
        return {key: turned(value) for key, value in result.items()}
    if dataclasses.is_dataclass(result):
        fields = {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
        return dataclasses.replace(result, **turned(fields))
    return result


def resolve(name):
    """(owner, attribute, object) of a dotted name of nplm."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            owner = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:-1]:
            owner = getattr(owner, part)
        return owner, parts[-1], getattr(owner, parts[-1])
    raise AssertionError(f"no module in {name}")


@pytest.fixture
def disturbed(monkeypatch):
    """``with disturbed(NAME)``: what NAME says returns other numbers."""
    return lambda name: _disturbed(monkeypatch, name)


@contextmanager
def _disturbed(monkeypatch, name) -> Iterator[None]:
    """Let what ``name`` says return other numbers: a function, a method, a class, a dictionary."""
    owner, attribute, found = resolve(name)
    with monkeypatch.context() as patch:
        if isinstance(found, dict):
            for key, function in found.items():
                patch.setitem(found, key, _wrapped(function))
        elif isinstance(found, type):
            method = "forward" if issubclass(found, torch.nn.Module) else "__call__"
            patch.setattr(found, method, _wrapped(getattr(found, method)))
        else:
            raw = owner.__dict__.get(attribute, found) if isinstance(owner, type) else found
            kind = type(raw) if isinstance(raw, classmethod | staticmethod) else None
            new = kind(_wrapped(raw.__func__)) if kind else _wrapped(found)
            patch.setattr(owner, attribute, new)
            for module in list(sys.modules.values()):  # also where it was imported by name
                own = getattr(module, "__name__", "").startswith("nplm_cli")
                if own and getattr(module, attribute, None) is found:
                    patch.setattr(module, attribute, new)
        yield


def _wrapped(function):
    def call(*args, **kwargs):
        return turned(function(*args, **kwargs))

    return call
