"""Make a virtual environment, with uv where it is installed and with venv and pip elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from imedbench.core.text import as_text

_UNREACHABLE = re.compile(
    r"dns error|NewConnectionError|Failed to establish a new connection|Temporary failure in name"
    r"|Name or service not known|Network is unreachable|error sending request|Connection refused"
)
_MINOR_VERSIONS = range(20, 7, -1)  # of Python 3, the newest first


class MakingFailed(Exception):
    """An environment cannot be made; the text says why, and what to do about it."""


def make_environment(
    folder: Path, python: str, requirements: Sequence[str], alone: Sequence[str]
) -> list[str]:
    """Make an environment; what the tools say goes to stderr as they say it.

    Args:
        folder: of the environment, new.
        python: version specifier; empty for any.
        requirements: as pip takes them.
        alone: requirements to install without theirs.

    Returns:
        What it holds, ``name==version`` each.

    Raises:
        MakingFailed: when a step fails.
    """
    uv = shutil.which("uv")
    inside = str(python_in(folder))
    if uv:
        wanted = ["--python", python] if python else []
        _run([uv, "venv", "--quiet", *wanted, str(folder)])
        pip, at = [uv, "pip"], ["--python", inside]
    else:
        _run([find_interpreter(python), "-m", "venv", str(folder)])
        pip, at = [inside, "-m", "pip", "--disable-pip-version-check"], []
    _run([*pip, "install", *at, *requirements])
    if alone:
        _run([*pip, "install", *at, "--no-deps", *alone])
    return [line for line in _run([*pip, "freeze", *at], shown=False) if "#" not in line]


def python_in(folder: Path) -> Path:
    """Name the interpreter of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def find_interpreter(specifier: str) -> str:
    """Find a Python on this machine: ours if it fits, else the newest on the path.

    Args:
        specifier: of its version; empty for any.

    Raises:
        MakingFailed: when there is none.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(specifier)
    except InvalidSpecifier as error:
        raise MakingFailed(f"{specifier!r} is no version specifier") from error
    ours = getattr(sys, "_base_executable", sys.executable)
    named = (shutil.which(f"python3.{minor}") for minor in _MINOR_VERSIONS)
    for found in (ours, *filter(None, named)):
        if wanted.contains(_version_of(found) or "0"):
            return str(found)
    raise MakingFailed(
        f"there is no Python {specifier} here; install one, or uv (pip install uv), which brings it"
    )


def _version_of(python: str) -> str:
    """What an interpreter says its version is; nothing where it cannot be run."""
    program = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _run(command: Sequence[str], *, shown: bool = True) -> list[str]:
    """Run a step and return the lines it printed."""
    environment = {"PIP_RETRIES": "1", "PIP_PROGRESS_BAR": "off", **os.environ}
    environment.pop("PYTHONPATH", None)
    lines = []
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.rstrip())
                if shown:
                    print(f"  {lines[-1]}", file=sys.stderr)
    except OSError as error:
        raise MakingFailed(f"{command[0]}: {error.strerror}") from error
    if process.returncode:
        raise MakingFailed(_cause(lines))
    return lines


def _cause(lines: Sequence[str]) -> str:
    """What a tool that failed said of the reason."""
    if any(_UNREACHABLE.search(line) for line in lines):
        return "the package registry cannot be reached; run it once with a connection"
    told = [line for line in lines if re.match(r"\s*(ERROR|error|×|╰|Error)", line)]
    return as_text(" ".join(told or lines[-3:]), 300) or "the tool says nothing"
