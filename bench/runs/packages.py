"""What code a plugin consists of: its files, the package they come in, and what they import."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from imedbench.core.registry import INTERACTIVE, PLUGIN_MODULE
from imedbench.core.types import MethodInfo


def code_hash(factory: Callable[..., Any]) -> str:
    """Hash of the code of a plugin and, for a wrapper, of what it wraps."""
    inner = getattr(factory, "inner", None)
    # What was typed into a notebook has no file, so that its content is hashed where it is kept.
    own = getattr(factory, "content", "") or source_hash(factory.__module__)
    return own if inner is None else f"{own}+{code_hash(inner)}"


@cache
def source_hash(module_name: str) -> str:
    """Hash of the code a plugin consists of: its own file, or its whole top-level package.

    For a plugin of imedbench that is its room (the methods, say) and the core, so that a change of
    how results are printed leaves stored predictions valid.

    Args:
        module_name: the plugin's module, imported already.

    Returns:
        Sixteen hexadecimal digits.
    """
    module = sys.modules[module_name]
    digest = hashlib.sha256()
    for file in plugin_files(module):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def plugin_files(module: ModuleType) -> list[Path]:
    """Return the source files of the plugin that a module belongs to; see `source_hash`."""
    if module.__name__.startswith("imedbench."):
        import imedbench.core

        room = sys.modules[".".join(module.__name__.split(".")[:2])]
        return [*_sources(imedbench.core), *_sources(room)]
    top = sys.modules.get(module.__name__.partition(".")[0], module)
    file = getattr(module, "__file__", None)
    return _sources(top) or ([Path(file)] if file else [])


def _sources(package: ModuleType) -> list[Path]:
    folders = getattr(package, "__path__", [])
    return sorted(file for folder in folders for file in Path(folder).rglob("*.py"))


@cache
def packages_of(factory: Callable[..., Any]) -> tuple[str, ...]:
    """Return the installed packages that a plugin comes in (first) or imports by name.

    A plugin file comes in none, and its own name leads.
    """
    module = sys.modules[factory.__module__]
    inner = getattr(factory, "inner", None)
    top = module.__name__.partition(".")[0]
    owners = _owners()
    own = [] if top.startswith(PLUGIN_MODULE) else owners.get(top, [])
    names = {name for file in plugin_files(module) for name in _imported_names(file)}
    imported = sorted({package for name in names for package in owners.get(name, [])} - {*own})
    return (*own[:1], *imported, *(packages_of(inner) if inner else ()))


@cache
def _owners() -> Mapping[str, list[str]]:
    """Which installed packages hold a module of a name; to find out takes a third of a second."""
    return metadata.packages_distributions()


@cache
def _imported_names(file: Path) -> frozenset[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:  # a file of the package that is not imported
        return frozenset()
    names = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return frozenset(names)


def with_package(info: MethodInfo, factory: Callable[..., Any]) -> MethodInfo:
    """Add what a method does not say itself: the package it comes in, and that one's licence."""
    module = sys.modules[factory.__module__]
    if module.__name__.startswith(PLUGIN_MODULE) or module.__name__ == INTERACTIVE:
        file = Path(str(getattr(module, "__file__", "notebook")))
        return replace(info, package=info.package or file.name)
    package = next(iter(packages_of(factory)), "")
    if not package:
        return info
    licence = info.code_licence
    if licence == "unknown":
        facts = metadata.metadata(package).json
        licence = str(facts.get("license_expression") or facts.get("license") or "unknown")
    named = info.package or f"{package} {package_version(package)}"
    return replace(info, package=named, code_licence=licence.splitlines()[0])


def package_version(package: str) -> str:
    """Return the installed version of a package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
