"""Options gathered into data classes, so that a command is a function of one argument."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TypeVar, get_type_hints

from imedbench.cli.options import (
    AcceptOption,
    DeviceOption,
    EnvOption,
    JsonOption,
    PluginsOption,
    TimeoutOption,
    load_plugins,
    note_acceptance,
    ready_environments,
)

T = TypeVar("T")


def takes(options: type[T]) -> Callable[[Callable[[T], None]], Callable[..., None]]:
    """Give a command the fields of a data class as its options; a class's own come first.

    Args:
        options: a data class with keyword fields, each annotated as typer has it.
    """
    hints = get_type_hints(options, include_extras=True)
    names = dict.fromkeys(
        name for kind in options.__mro__ for name in inspect.get_annotations(kind)
    )
    defaults = {field.name: field.default for field in fields(options)}  # type: ignore[arg-type]
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if defaults[name] is MISSING else defaults[name],
            annotation=hints[name],
        )
        for name in names
    ]

    def decorate(command: Callable[[T], None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_options(**values: object) -> None:
            command(options(**values))

        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = hints
        return with_options

    return decorate


@dataclass(kw_only=True)
class MethodOptions:
    """What every command that lets methods work is told.

    Args:
        device: where they work.
        timeout: longest time for a pair, s.
        plugin: files with further plugins.
        accept_license: whether licences of weights are accepted.
        env: interpreters for methods that run in an environment of their own.
        json: whether JSON is printed.
    """

    device: DeviceOption = "cpu"
    timeout: TimeoutOption = 60.0
    plugin: PluginsOption = None
    accept_license: AcceptOption = False
    env: EnvOption = None
    json: JsonOption = False

    def ready(self, methods: Sequence[str]) -> tuple[Path, ...]:
        """Make sure that these methods are found and can work, and return the plugin files."""
        plugins = load_plugins(self.plugin)
        note_acceptance(self.accept_license)
        ready_environments(self.env, methods)
        return plugins
