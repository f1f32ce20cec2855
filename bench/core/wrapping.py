"""Plugins round plugins: ``transfer+sift`` is the wrapper ``transfer`` round ``sift``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from imedbench.core.options import option_types


def wrapped(outer: Callable[..., Any], inner: Callable[..., Any]) -> Callable[..., Any]:
    """Return a factory that builds the inner plugin and hands it to the wrapper.

    Args:
        outer: takes the inner plugin first, then its own options as keywords.
        inner: takes its options.

    Returns:
        A factory with the options of both; where names meet, the wrapper's wins.

    Example:
        >>> def twice(plugin: int, *, plus: int = 0) -> int:
        ...     return 2 * plugin + plus
        >>> def number(*, value: int = 3) -> int:
        ...     return value
        >>> wrapped(twice, number)(value=5, plus=1)
        11
    """
    own = list(inspect.signature(outer).parameters.values())[1:]
    names = {parameter.name for parameter in own}

    def build(**options: Any) -> Any:
        for_outer = {name: options.pop(name) for name in names & options.keys()}
        return outer(inner(**options), **for_outer)

    rest = [p for p in inspect.signature(inner).parameters.values() if p.name not in names]
    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (*rest, *own)]
    types = {**option_types(inner), **option_types(outer)}
    build.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    build.__annotations__ = {p.name: types[p.name] for p in parameters if p.name in types}
    build.__doc__ = inner.__doc__
    build.__module__ = outer.__module__
    build.inner, build.outer = inner, outer  # type: ignore[attr-defined]
    return build
