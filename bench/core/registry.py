"""One registry class, and the registries built on it: methods, metrics, data sets and more.

A plugin is a class or function registered under a name by a decorator. It comes in by an entry
point (group ``imedbench.methods``, ``imedbench.metrics`` or ``imedbench.datasets``) whose name is
the plugin's and whose value is the module to import, or by `load_plugin_file`. The built-in ones
come in the same way.

Example:
    >>> shapes = Registry("shape", "example.shapes")
    >>> @shapes.register("circle")
    ... class Circle:
    ...     def __init__(self, *, radius: float = 1.0) -> None:
    ...         self.radius = radius
    >>> shapes.create("circle:radius=2").radius
    2.0
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from imedbench.core.errors import BadInput, ImedbenchError
from imedbench.core.options import PluginSpec, bind_options
from imedbench.core.text import as_text
from imedbench.core.wrapping import wrapped

PLUGIN_MODULE = "imedbench_plugin_"  # begins the names of modules that are plugin files
INTERACTIVE = "__main__"  # the module of a script, and of all that is typed into a notebook
F = TypeVar("F", bound=Callable[..., Any])


class Registry:
    """Plugins of one kind by name.

    Args:
        kind: what a plugin of this registry is called in messages.
        group: entry-point group that other packages use.
        wrappers: plugins that take one of this registry, for names such as ``wrapper+plugin``.
    """

    def __init__(self, kind: str, group: str, wrappers: Registry | None = None) -> None:
        self.kind = kind
        self.group = group
        self.wrappers = wrappers
        self._factories: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[F], F]:
        """Store a class or function under a name, by decorating it; it stays unchanged.

        What ``__main__`` has registered it may register anew: a notebook's cell is run again.

        Raises:
            ValueError: when the name is taken.
        """

        def store(factory: F) -> F:
            taken_by = self._owner(name)
            if taken_by and not taken_by == factory.__module__ == INTERACTIVE:
                raise ValueError(f"the {self.kind} name {name!r} is already taken by {taken_by}")
            self._factories[name] = factory
            return factory

        return store

    def names(self) -> list[str]:
        """Return every known name, sorted; imports nothing."""
        return sorted({*self._factories, *self._entry_points})

    def loaded(self) -> dict[str, Callable[..., Any]]:
        """Return what has been registered so far, by name; imports nothing."""
        return dict(self._factories)

    def is_installed(self, name: str) -> bool:
        """Tell whether an installed package offers a plugin of that name, itself among them."""
        return name in self._entry_points

    def factory(self, name: str) -> Callable[..., Any]:
        """Return the class or function registered under a name, imported now if need be.

        Raises:
            BadInput: when there is none, with the closest names; or when its module cannot be
                imported, with the cause.
        """
        if name not in self._factories and name in self._entry_points:
            self._import(self._entry_points[name])
        if name not in self._factories and self.wrappers and "+" in name:
            outer, _, inner = name.partition("+")
            return wrapped(self.wrappers.factory(outer), self.factory(inner))
        if name not in self._factories:
            raise BadInput(self.unknown(self.kind, name, self.names()))
        return self._factories[name]

    def create(self, spec: str | PluginSpec) -> Any:
        """Build a plugin from ``name`` or ``name:option=value:option=value``.

        Raises:
            BadInput: for an unknown name or option, or a value of the wrong type.
        """
        spec = PluginSpec.parse(spec) if isinstance(spec, str) else spec
        factory = self.factory(spec.name)
        options = bind_options(factory, spec, self.kind)
        try:
            return factory(**options)
        except ImedbenchError:
            raise
        except (Exception, SystemExit) as error:  # it may be a stranger's
            raise BadInput(
                f"the {self.kind} {str(spec)!r} cannot be made: {_told(error)}"
            ) from error

    def _owner(self, name: str) -> str:
        """The module that has a name, also one that has not been imported; empty for none."""
        if name in self._factories:
            return self._factories[name].__module__
        point = self._entry_points.get(name)
        # While the module that the entry point names is imported, its owner registers the name.
        return "" if point is None or point.module in sys.modules else point.module

    @cached_property
    def _entry_points(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            other = found.setdefault(point.name, point)
            if other.value != point.value:
                raise BadInput(
                    f"two installed packages offer a {self.kind} named {point.name!r}:"
                    f" {other.value} and {point.value}; uninstall one of them"
                )
        return found

    def _import(self, point: EntryPoint) -> None:
        try:
            importlib.import_module(point.module)
        except (Exception, SystemExit) as error:  # a stranger's module may fail in any way
            raise BadInput(
                f"the {self.kind} {point.name!r} cannot be imported from {point.module}:"
                f" {_told(error)}"
            ) from error
        if point.name not in self._factories:
            raise BadInput(f"{point.module} registers no {self.kind} named {point.name!r}")

    @staticmethod
    def unknown(kind: str, name: str, known: list[str]) -> str:
        """Say what to say of a name that nothing has."""
        close = get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "known: " + ", ".join(known)
        return f"there is no {kind} named {name!r}; {hint}"


WRAPPERS = Registry("method wrapper", "imedbench.wrappers")
METHODS = Registry("method", "imedbench.methods", WRAPPERS)
METRICS = Registry("metric", "imedbench.metrics")
DATASETS = Registry("data set", "imedbench.datasets")
TRANSLATORS = Registry("translator", "imedbench.translators")


def load_plugin_file(path: Path) -> None:
    """Import a Python file so that the plugins in it register themselves.

    Loading the same file again changes nothing.

    Raises:
        BadInput: when the file is missing or fails to import.
    """
    path = path.resolve()
    # The same name in every process, so that what the plugin defines can be sent between them.
    name = f"{PLUGIN_MODULE}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        what = "not a Python file" if path.exists() else "no such file"
        raise BadInput(f"{path}: {what}; a plugin is named by the path of its Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BadInput(f"{path}: the plugin fails to import: {_told(error)}") from error


def _told(error: BaseException) -> str:
    """What an exception says, with its kind where it says nothing of use by itself."""
    text = as_text(error)
    plain = isinstance(error, (ValueError, ImportError, SyntaxError)) and text
    return text if plain else f"{type(error).__name__}: {text}"
