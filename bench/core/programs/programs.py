"""What can be started as a method's program: a command, or a Python file in an interpreter."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from imedbench.core.errors import BadInput
from imedbench.core.programs import host
from imedbench.core.programs.digest import digest_of
from imedbench.core.programs.environments import Environment, read_environment, ready_python
from imedbench.core.programs.link import Link
from imedbench.core.programs.making import python_in

_NAMED = "IMEDBENCH_ENV_"  # and the method's name: the interpreter that --env gives it


class Program(Protocol):
    """What is to be started."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages whose versions the program is asked for."""

    def identity(self) -> str:
        """Tell apart programs that may answer differently: a hash of what they consist of."""

    def text(self) -> str:
        """Say in one line what it runs in."""

    def start(self) -> Link:
        """Start it.

        Raises:
            Declined: when it cannot be had here, with what to do.
        """


@dataclass(frozen=True)
class Command:
    """A program that speaks the protocol itself.

    Args:
        arguments: program and arguments; those that name files of the folder become their paths.
        folder: of the plugin.
    """

    arguments: Sequence[str]
    folder: Path
    packages: tuple[str, ...] = ()

    def identity(self) -> str:
        """Hash the command and the files it names in the plugin's folder."""
        return digest_of(*self.arguments, *(p.read_bytes() for p in self._files().values()))

    def text(self) -> str:
        """Return the command."""
        return " ".join(self.arguments)

    def start(self) -> Link:
        """Run the command."""
        files = self._files()
        command = [str(files.get(argument, argument)) for argument in self.arguments]
        return Link(self.text(), command, os.environ)

    def _files(self) -> dict[str, Path]:
        paths = {argument: self.folder / argument for argument in self.arguments}
        return {argument: path for argument, path in paths.items() if path.is_file()}


@dataclass(frozen=True)
class PythonFile:
    """A Python file with a function ``register``, served by the host file.

    Args:
        name: of the method.
        file: its path; what it needs stands in its script metadata.
    """

    name: str
    file: Path

    @cached_property
    def environment(self) -> Environment | None:
        """What it needs; None for our own interpreter."""
        return read_environment(self.file)

    @property
    def packages(self) -> tuple[str, ...]:
        """What it needs, by name."""
        return (self.environment or Environment()).packages

    def identity(self) -> str:
        """Hash the file, with the interpreter if one was named."""
        return digest_of(self.file.read_bytes(), os.environ.get(_variable(self.name), ""))

    def text(self) -> str:
        """Name the interpreter and the packages."""
        named = os.environ.get(_variable(self.name))
        return named or str(self.environment or "the interpreter of imedbench")

    def python(self) -> Path:
        """Return the interpreter: the one named, or that of its environment, made if need be."""
        if named := os.environ.get(_variable(self.name)):
            return Path(named)
        if self.environment is None:
            return Path(sys.executable)
        return ready_python(self.name, self.environment)

    def start(self) -> Link:
        """Run the host file with that interpreter, undisturbed by the paths of ours."""
        ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        variables = {name: value for name, value in os.environ.items() if name not in ours}
        command = [str(self.python()), str(Path(host.__file__)), str(self.file)]
        return Link(self.file.name, command, variables)

    def name_interpreter(self, path: str) -> None:
        """Have this file run by an interpreter, in this process and those it starts.

        Args:
            path: of the interpreter, or of the folder of its environment.

        Raises:
            BadInput: when there is none.
        """
        python = Path(path).expanduser()
        python = python_in(python) if python.is_dir() else python
        if not os.access(python, os.X_OK) or not python.is_file():
            raise BadInput(f"--env {self.name}={path}: {python} is no interpreter that can be run")
        os.environ[_variable(self.name)] = os.path.abspath(python)


def _variable(name: str) -> str:
    return _NAMED + name.upper().replace("-", "_")
