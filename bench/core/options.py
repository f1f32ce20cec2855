"""Options of plugins as people type them: ``sift:ratio=0.7:model=affine``."""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from imedbench.core.errors import BadInput

_OPTION = re.compile(r":(?=[A-Za-z_][A-Za-z0-9_-]*=)")


@dataclass(frozen=True)
class PluginSpec:
    """A plugin's name and the options given to it, still as text.

    Example:
        >>> str(PluginSpec.parse("sift:model=affine:ratio=0.7"))
        'sift:model=affine:ratio=0.7'
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> PluginSpec:
        """Read ``name`` or ``name:option=value:option=value``; values may hold colons.

        Raises:
            BadInput: when the name is missing, the form is another or an option is given twice.
        """
        name, *parts = _OPTION.split(text.strip())
        if not name or name.endswith(":") or ("=" in name):
            raise BadInput(f"{text!r} is not of the form NAME or NAME:OPTION=VALUE")
        options: dict[str, str] = {}
        for part in parts:
            key, _, value = part.partition("=")
            if (key := key.replace("-", "_")) in options:
                raise BadInput(f"{text!r} gives the option {key!r} twice")
            options[key] = value
        return cls(name, dict(sorted(options.items())))

    def __str__(self) -> str:
        return ":".join([self.name, *(f"{key}={value}" for key, value in self.options.items())])


def bind_options(factory: Callable[..., Any], spec: PluginSpec, kind: str) -> dict[str, Any]:
    """Turn typed text into the keyword arguments of a plugin's constructor.

    Args:
        factory: class or function; its parameters must be annotated ``int``, ``float``, ``bool``,
            ``str``, ``Path``, a ``Literal`` of strings, or one of these ``| None``.
        spec: what was asked for.
        kind: what to call the plugin in messages.

    Raises:
        BadInput: for an option the plugin does not have or lacks, or a value of the wrong type.
    """
    known = option_types(factory)
    bound: dict[str, Any] = {}
    for key, text in spec.options.items():
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has: {', '.join(known) or 'none'}"
            raise BadInput(f"the {kind} {spec.name!r} has no option {key!r}; {hint}")
        try:
            bound[key] = _converted(text, known[key])
        except ValueError as error:
            raise BadInput(f"{kind} {spec.name!r}, option {key}={text!r}: {error}") from None
    defaults = option_defaults(factory)
    for key in known:
        if key not in bound and key not in defaults:
            raise BadInput(f"the {kind} {spec.name!r} needs its option {key}: {spec.name}:{key}=…")
    return bound


def option_types(factory: Callable[..., Any]) -> dict[str, Any]:
    """Annotated type of each option a factory takes, by name."""
    target = factory.__init__ if inspect.isclass(factory) else factory
    if target is object.__init__:
        return {}
    hints = typing.get_type_hints(target)
    parameters = inspect.signature(factory).parameters.values()
    return {
        p.name: hints.get(p.name, str)
        for p in parameters
        if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
    }


def option_defaults(factory: Callable[..., Any]) -> dict[str, Any]:
    """Default value of each option that has one, by name."""
    parameters = inspect.signature(factory).parameters
    return {
        name: parameters[name].default
        for name in option_types(factory)
        if parameters[name].default is not inspect.Parameter.empty
    }


def _converted(text: str, annotation: Any) -> Any:
    if get_origin(annotation) in (types.UnionType, typing.Union):
        if text.lower() == "none":
            return None
        annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        if text not in choices:
            raise ValueError(f"choose one of {', '.join(map(str, choices))}")
        return text
    if annotation is bool:
        return _truth(text)
    if annotation in (int, float):
        return _number(text, annotation)
    return annotation(text)


def _truth(text: str) -> bool:
    words = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
    if text.lower() not in words:
        raise ValueError("say on or off")
    return words[text.lower()]


def _number(text: str, kind: type[int] | type[float]) -> int | float:
    noun = "whole number" if kind is int else "number"
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(f"not a {noun}") from None
    if math.isnan(value):
        raise ValueError(f"not a {noun}")
    return value
