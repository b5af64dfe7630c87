"""Every example in a docstring gives what it says; every name of the public interface has one."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

import edgerecon as er
from tests.test_style import sources

MODULES = [
    path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    for path, text in sources("edgerecon").items()
    if ">>> " in text
]


@pytest.mark.parametrize("name", [name for name in er.__all__ if name != "__version__"])
def test_a_public_name_has_an_example(name: str) -> None:
    assert ">>> " in (inspect.getdoc(getattr(er, name)) or "")


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_hold(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted and not found.failed
