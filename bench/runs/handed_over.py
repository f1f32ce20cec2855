"""Plugins that no file holds, such as a notebook's: kept in the run folder, as plugin files there.

A worker process is started anew and knows nothing of the process that started it. What a function
consists of and uses goes with it by cloudpickle; beside it lies a plugin file that loads it.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import linecache
import re
from collections import ChainMap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import CodeType
from typing import Any, ClassVar

import cloudpickle

from imedbench.core.errors import BadInput
from imedbench.core.methods import register_method
from imedbench.core.metrics import Metric
from imedbench.core.options import PluginSpec
from imedbench.core.registry import INTERACTIVE, METHODS, METRICS, PLUGIN_MODULE, Registry
from imedbench.core.text import as_text
from imedbench.core.types import Method, MethodInfo
from imedbench.runs.files import slug, write_atomically
from imedbench.runs.packages import source_hash

FOLDER = "functions"
_OF_NO_MEANING = ("__dict__", "__weakref__", "__firstlineno__", "_abc_impl")  # of a class
_PLUGIN = '''"""The {kind} {name}, as it was handed over; content {digest}."""

from imedbench.runs.handed_over import register_kept

register_kept({name!r}, {digest!r}, __file__, {kind!r})
'''
_REGISTRIES = {registry.kind: registry for registry in (METHODS, METRICS)}


def hand_over(method: Any, folder: Path) -> tuple[str, Path | None]:
    """Make sure that worker processes can find a method.

    Args:
        method: a spec, a function of two images, or a method object.
        folder: the run folder.

    Returns:
        Its spec; and the plugin file that holds it, None where it is installed or in a plugin file.

    Raises:
        BadInput: when it has no name of its own, or cannot be pickled.
    """
    spec = PluginSpec.parse(method if isinstance(method, str) else _register(method))
    return str(spec), _keep(METHODS, spec.name.rpartition("+")[2], folder / FOLDER)


def hand_over_metric(name: str, folder: Path) -> Path | None:
    """Make sure that worker processes can find a metric.

    Args:
        name: as it is registered.
        folder: the run folder.

    Returns:
        The plugin file that holds it, None where it is installed or in a plugin file.

    Raises:
        BadInput: for an unknown name, or when it cannot be pickled.
    """
    return _keep(METRICS, name, folder / FOLDER / "metrics")


def _keep(registry: Registry, name: str, folder: Path) -> Path | None:
    """Write a plugin file that holds a plugin, unless it is in one or installed."""
    factory = registry.factory(name)
    if registry.is_installed(name) or factory.__module__.startswith(PLUGIN_MODULE):
        return None
    factory = getattr(factory, "unmarked", factory)
    try:
        content, digest = _content(factory), _digest(factory)
    except Exception as error:  # what cannot be pickled fails in many ways
        raise BadInput(
            f"the {registry.kind} {name!r} cannot be handed to another process ({as_text(error)});"
            " make in it what it uses, or write it to a file and name that one as plugins=[…]"
        ) from error
    _mark(registry, name, factory, digest)
    file = (folder / f"{slug(name)}.py").resolve()
    write_atomically(file.with_suffix(".pickle"), content)
    plugin = _PLUGIN.format(kind=registry.kind, name=name, digest=digest)
    write_atomically(file, plugin.encode())
    return file


def register_kept(name: str, digest: str, file: str, kind: str = METHODS.kind) -> None:
    """Register the plugin that is kept beside a plugin file, unless its module does so itself."""
    factory, sources = cloudpickle.loads(Path(file).with_suffix(".pickle").read_bytes())
    for cell, text in sources.items():  # tracebacks quote from here
        linecache.cache[cell] = (len(text), None, text.splitlines(keepends=True), cell)
    registry = _REGISTRIES[kind]
    if name not in registry.loaded():
        registry.register(name)(factory)
        _mark(registry, name, factory, digest)


def _register(method: Any) -> str:
    """Register a function or an object, unless it is, and return its name."""
    for name, factory in METHODS.loaded().items():
        if method is factory or method is getattr(factory, "__wrapped__", None):
            return name
    try:
        if isinstance(method, Method) and not inspect.isclass(method):
            METHODS.register(method.info.name)(_maker(method))
            return method.info.name
        name = getattr(method, "__name__", "")
        if not callable(method) or inspect.isclass(method) or not re.fullmatch(r"\w+", name):
            raise BadInput(
                f"{as_text(method, 60)}: no method; give names, functions made by def, or objects"
            )
        about = (method.__doc__ or "a function of the caller's").strip()
        register_method(MethodInfo(name, about.splitlines()[0], "unknown"))(method)
    except ValueError as error:
        raise BadInput(f"{error}; give it another name") from error
    return name


def _maker(method: Method) -> Callable[[], Method]:
    def build() -> Method:
        return method

    build.__module__, build.__annotations__ = type(method).__module__, {}
    build.__wrapped__ = method  # type: ignore[attr-defined]
    build.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
    return build


def _mark(registry: Registry, name: str, factory: Callable[..., Any], digest: str) -> None:
    """Note what identifies the code of a plugin that no file holds.

    A method's is part of its rows' keys. A metric's becomes part of its version, so that a cell
    that was changed is measured again.
    """
    if factory.__module__ != INTERACTIVE:
        return
    if registry is METHODS:
        factory.content = digest  # type: ignore[attr-defined]
        return

    @functools.wraps(factory)
    def versioned(**options: Any) -> Metric:
        metric: Metric = factory(**options)
        info = replace(metric.info, version=f"{metric.info.version} {digest}")
        return replace(metric, info=info)

    versioned.unmarked = factory  # type: ignore[attr-defined]
    registry.register(name)(versioned)


def _content(factory: Callable[..., Any]) -> bytes:
    """All that a plugin consists of, and the text of the cells it was written in."""
    buffer = io.BytesIO()
    keeper = _Keeper(buffer)
    keeper.dump((factory, keeper.sources))
    return buffer.getvalue()


class _Keeper(cloudpickle.Pickler):  # type: ignore[misc]
    """Writes code with the name of its file, for tracebacks; cloudpickle leaves it out.

    A notebook's cells are no files: their text is collected, under the name of what they define.
    """

    def __init__(self, buffer: io.BytesIO) -> None:
        self.sources: dict[str, str] = {}
        self._cells: dict[str, str] = {}
        self.dispatch_table = ChainMap({CodeType: self._reduce}, cloudpickle.Pickler.dispatch_table)
        super().__init__(buffer)  # looks at the table

    def _reduce(self, code: CodeType) -> Any:
        file = code.co_filename
        if not Path(file).is_file():
            text = "".join(linecache.getlines(file))
            file = self._cells.setdefault(file, f"<cell of {code.co_name}>")
            self.sources[file] = text
        make, arguments = cloudpickle.Pickler.dispatch_table[CodeType](code)
        return _named_code, (make, arguments, file)


def _named_code(make: Callable[..., CodeType], arguments: tuple[Any, ...], file: str) -> CodeType:
    return make(*arguments).replace(co_filename=file)


def _digest(factory: Callable[..., Any]) -> str:
    """Hash of all that a plugin consists of, the same in every process."""
    if factory.__module__ != INTERACTIVE:
        return source_hash(factory.__module__)
    buffer = io.BytesIO()
    _Nameless(buffer).dump(factory)
    return hashlib.sha256(buffer.getvalue()).hexdigest()[:16]


class _Nameless(cloudpickle.Pickler):  # type: ignore[misc]
    """Writes what code does, not in which file and line it stands: a cell has another each time."""

    dispatch_table: ClassVar[Any] = ChainMap(
        {CodeType: lambda code: (tuple, (_parts(code),))}, cloudpickle.Pickler.dispatch_table
    )

    def reducer_override(self, thing: Any) -> Any:
        """Write a class without the number that cloudpickle draws for it."""
        if isinstance(thing, type) and thing.__module__ == INTERACTIVE:
            content = {k: v for k, v in vars(thing).items() if k not in _OF_NO_MEANING}
            return tuple, ((thing.__qualname__,),), (thing.__bases__, content)
        return super().reducer_override(thing)


def _parts(code: CodeType) -> list[Any]:
    # The order of a set of words differs from process to process.
    constants = [sorted(map(repr, c)) if isinstance(c, frozenset) else c for c in code.co_consts]
    return [code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars]
