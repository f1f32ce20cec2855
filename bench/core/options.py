"""Settings as people type them: ``sift:ratio=0.7:model=affine``, or the lines of a TOML file."""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from imedbench.core.errors import BadInput

# Types of options that have limits.
Positive = Annotated[int, msgspec.Meta(ge=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Side = Annotated[int, msgspec.Meta(ge=32, le=8192)]  # px that images are brought to
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]

_OPTION = re.compile(r":(?=[A-Za-z_][A-Za-z0-9_-]*=)")
_SWITCH = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
_WANTED = {bool: "say on or off", int: "not a whole number", float: "not a number"}


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
            hint = suggest(key, known)
            raise BadInput(f"the {kind} {spec.name!r} has no option {key!r}; {hint}")
        try:
            bound[key] = convert(text, known[key])
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
    parameters = inspect.signature(factory).parameters.values()
    options = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    annotated = getattr(target, "__annotations__", {})

    def only_options() -> None: ...

    # What else is annotated may name what is not there: a cell's function goes without its imports.
    only_options.__annotations__ = {name: annotated[name] for name in options if name in annotated}
    known = getattr(inspect.unwrap(target), "__globals__", {})
    try:
        hints = typing.get_type_hints(only_options, known, include_extras=True)
    except Exception as error:  # annotations are code
        name = getattr(factory, "__name__", factory)
        raise BadInput(f"{name}: the type of an option cannot be told ({error})") from error
    return {name: hints.get(name, str) for name in options}


def option_defaults(factory: Callable[..., Any]) -> dict[str, Any]:
    """Default value of each option that has one, by name."""
    parameters = inspect.signature(factory).parameters
    return {
        name: parameters[name].default
        for name in option_types(factory)
        if parameters[name].default is not inspect.Parameter.empty
    }


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is meant, or all of them, as the end of a message."""
    names = list(known)
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"it has: {', '.join(names) or 'none'}"


def convert(value: Any, kind: Any) -> Any:
    """Turn typed text, or a value of a TOML file, into an annotated type.

    Args:
        value: text, or what TOML made of it.
        kind: ``int``, ``float``, ``bool``, ``str``, ``Path``, a ``Literal`` of strings, a tuple of
            these, one of them ``| None``, or one ``Annotated`` with limits (`msgspec.Meta`).

    Returns:
        The value in that type; the words on, yes, off and no are switches, none is None.

    Raises:
        ValueError: when it does not fit, with what is wanted.

    Example:
        >>> convert("on", bool), convert("none", int | None), convert([1, 2], tuple[float, ...])
        (True, None, (1.0, 2.0))
    """
    wanted = next((arg for arg in get_args(kind) if arg is not type(None)), kind)
    plain = kind if get_origin(kind) in (Literal, tuple) else wanted
    if isinstance(value, str) and plain is not str:
        if type(None) in get_args(kind) and value.lower() == "none":
            return None
        if plain is bool:
            value = _SWITCH.get(value.lower(), ())
    try:
        found = msgspec.convert(
            value, kind, strict=not isinstance(value, str), dec_hook=lambda kind, v: kind(v)
        )
    except msgspec.ValidationError as error:
        if get_origin(plain) is Literal:
            choices = ", ".join(map(str, get_args(plain)))
            raise ValueError(f"choose one of {choices}") from None
        message = str(error).replace("`", "")
        limit = re.search("[<>].*", message)
        raise ValueError(f"must be {limit[0]}" if limit else _WANTED.get(plain, message)) from None
    if isinstance(found, float) and math.isnan(found):
        raise ValueError("not a number")
    return found
