"""Python environments of methods that cannot share ours: made on first use, kept by content.

What an environment holds stands in the program's own file, as inline script metadata has it
(packaging.python.org, "Inline script metadata"): ``requires-python`` and ``dependencies``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imedbench.core.errors import BadInput, Declined, unusable
from imedbench.core.programs.digest import digest_of
from imedbench.core.programs.making import MakingFailed, make_environment, python_in
from imedbench.core.translation import cache_folder

OFFLINE = "IMEDBENCH_OFFLINE"
_READY = "ready.json"  # written last: an environment without it was left half made
_BLOCK = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Environment:
    """What a Python environment must hold, beside NumPy, which the host file needs.

    Args:
        python: version specifier, ``>=3.9,<3.12``; empty for any.
        requirements: as pip takes them.
        alone: requirements that are installed without what they require themselves.
    """

    python: str = ""
    requirements: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        """Names of what is required."""
        found = (_NAME.match(requirement.strip()) for requirement in self.everything)
        return tuple(dict.fromkeys([*(name[0] for name in found if name), "numpy"]))

    @property
    def everything(self) -> tuple[str, ...]:
        """All requirements."""
        return (*self.requirements, *self.alone)

    def __str__(self) -> str:
        return ", ".join([f"Python {self.python}".strip(), *self.everything])


def read_environment(file: Path) -> Environment | None:
    """Read what a program's file says it needs; None where it says nothing.

    ``[tool.imedbench] without-dependencies`` lists what is installed without its own requirements.

    Raises:
        BadInput: when the metadata is not TOML of the right form.
    """
    found = _BLOCK.search(file.read_text(encoding="utf-8"))
    if found is None:
        return None
    try:
        content = tomllib.loads("\n".join(line[2:] for line in found["content"].splitlines()))
        own = content.get("tool", {}).get("imedbench", {})
        lists = (content.get("dependencies", []), own.get("without-dependencies", []))
        python = str(content.get("requires-python", ""))
        return Environment(python, *(tuple(map(str, names)) for names in lists))
    except (tomllib.TOMLDecodeError, TypeError, AttributeError) as error:
        raise BadInput(f"{file}: its script metadata cannot be read ({error})") from error


def ready_python(name: str, environment: Environment) -> Path:
    """Return the interpreter of an environment, which is made now if it is not there.

    Args:
        name: of the method, for messages and the folder.
        environment: what it must hold.

    Raises:
        Declined: when it cannot be made, with the reason and what to do.
        BadInput: when the folder of kept environments cannot be written to.
    """
    key = digest_of(environment.python, *environment.requirements, "alone", *environment.alone)
    folder = cache_folder() / "environments" / f"{name}-{key}"
    if not _is_whole(folder):
        if os.environ.get(OFFLINE, "0") not in ("", "0"):
            raise Declined(
                f"{name} runs in an environment of its own, which is not made yet, and {OFFLINE}"
                f" is set; run it once with a connection, or give --env {name}=PYTHON"
            )
        with _only_maker(folder):
            if not _is_whole(folder):
                _make(name, environment, folder)
    return python_in(folder)


def _is_whole(folder: Path) -> bool:
    """Whether an environment was made to the end, and its interpreter is still there."""
    return (folder / _READY).is_file() and python_in(folder).is_file()


@contextmanager
def _only_maker(folder: Path) -> Iterator[None]:
    """Let one process at a time make an environment; the others wait for it."""
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            yield
    except OSError as error:
        raise unusable(folder, "an environment cannot be made there", error) from error


def _make(name: str, environment: Environment, folder: Path) -> None:
    print(f"making the environment of {name} in {folder}: {environment}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    requirements = [*environment.requirements]
    if "numpy" not in Environment(requirements=environment.requirements).packages[:-1]:
        requirements.append("numpy")
    try:
        holds = make_environment(folder, environment.python, requirements, environment.alone)
    except MakingFailed as failed:
        shutil.rmtree(folder, ignore_errors=True)
        raise Declined(
            f"the environment of {name} cannot be made: {failed}; or give --env {name}=PYTHON,"
            " an interpreter that has what it needs"
        ) from failed
    facts = {"environment": str(environment), "holds": holds}
    (folder / _READY).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
