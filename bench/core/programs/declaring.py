"""Declare a program as a method: what it is, what is started, which options it takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from imedbench.core.errors import BadInput
from imedbench.core.options import PluginSpec
from imedbench.core.programs.answers import Estimate
from imedbench.core.programs.method import ProgramMethod
from imedbench.core.programs.programs import Command, Program, PythonFile
from imedbench.core.registry import METHODS
from imedbench.core.types import MethodInfo

OptionsFunction = Callable[..., Mapping[str, Any] | None]


def register_program(
    info: MethodInfo,
    *,
    command: Sequence[str] = (),
    file: str = "",
    estimate: Estimate | None = None,
) -> Callable[[OptionsFunction], OptionsFunction]:
    """Make a program a method, by decorating a function whose keyword arguments are its options.

    The function is called when the method is made: it may refuse by raising, and may return what
    the program is sent in place of the options.

    Args:
        info: what the method is.
        command: a program that speaks the protocol, with its arguments; those that name files
            beside the decorated function's file get their paths.
        file: in place of a command, a Python file beside it with a function ``register``; it runs
            in the environment that its script metadata describes.
        estimate: fits a transform to the moving and fixed points of matches, for a program that
            leaves this to imedbench.

    Raises:
        ValueError: when both or neither of command and file are given, or the name is taken.

    Example:
        >>> info = MethodInfo("example-in-perl", "lays bright middles on each other", "shift")
        >>> @register_program(info, command=["perl", "centroids.pl"])
        ... def centroids(*, darkest: int = 0) -> None:
        ...     ...
        >>> METHODS.create("example-in-perl:darkest=9").options
        {'darkest': 9}
    """
    if bool(command) == bool(file):
        raise ValueError(f"{info.name}: a program is either a command or a file")

    def store(function: OptionsFunction) -> OptionsFunction:
        folder = Path(function.__code__.co_filename).resolve().parent
        program: Program
        program = PythonFile(info.name, folder / file) if file else Command(tuple(command), folder)

        def build(**options: Any) -> ProgramMethod:
            sent = function(**options)
            whole = {**_defaults(function), **options}
            return ProgramMethod(info, program, whole if sent is None else sent, estimate)

        functools.update_wrapper(build, function)
        build.program = program  # type: ignore[attr-defined]
        build.declared = info  # type: ignore[attr-defined]
        METHODS.register(info.name)(build)
        return function

    return store


def _defaults(function: OptionsFunction) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def program_of(factory: Callable[..., Any]) -> Program | None:
    """Return the program behind a method's factory, or behind what it wraps; None for none."""
    inner = getattr(factory, "inner", None)
    found: Program | None = getattr(factory, "program", None)
    return program_of(inner) if found is None and inner is not None else found


def name_interpreter(text: str) -> None:
    """Have the Python file of a method run by an interpreter: ``NAME=PATH``.

    Raises:
        BadInput: when no such method runs in an environment of its own, or there is no interpreter.
    """
    name, equals, path = text.partition("=")
    if not equals:
        raise BadInput(f"--env {text}: say NAME=PATH, a method and the interpreter for it")
    program = program_of(METHODS.factory(name))
    if not isinstance(program, PythonFile):
        raise BadInput(f"--env {text}: {name} does not run in an environment of its own")
    program.name_interpreter(path)


def make_environment_of(spec: str) -> None:
    """Make the environment of a method now, if it has one of its own that is not there yet.

    Args:
        spec: of the method, with its options: they may refuse first, for a licence say.

    Raises:
        Declined: when it cannot be made.
    """
    program = program_of(METHODS.factory(PluginSpec.parse(spec).name))
    if isinstance(program, PythonFile):
        METHODS.create(spec)
        program.python()
