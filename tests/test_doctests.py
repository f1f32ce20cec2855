"""Every example in a docstring gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import imedbench
from imedbench.core.registry import DATASETS, METHODS, METRICS, WRAPPERS

# Programs of other environments import what this one does not have.
ELSEWHERE = "imedbench.methods.programs."
MODULES = [
    module.name
    for module in pkgutil.walk_packages(imedbench.__path__, "imedbench.")
    if not module.name.startswith(ELSEWHERE)
]


@pytest.mark.parametrize("name", [m for m in MODULES if not m.endswith("__main__")])
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    registries = (METHODS, METRICS, DATASETS, WRAPPERS)
    before = [registry.names() for registry in registries]
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    for registry, names in zip(registries, before, strict=True):
        for example in set(registry.names()) - set(names):  # an example leaves no plugin behind
            del registry._factories[example]
    assert result.failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [
        test
        for name in MODULES
        if name.startswith("imedbench.core")
        for test in finder.find(importlib.import_module(name))
        if test.examples
    ]
    assert len(examples) > 10
