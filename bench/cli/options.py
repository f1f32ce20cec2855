"""Options that several commands share, and their parsing."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imedbench.core.errors import BadInput, Declined
from imedbench.core.registry import load_plugin_file

if TYPE_CHECKING:
    from imedbench.core.types import Outcome, Split


class SplitChoice(StrEnum):
    """Which splits to run."""

    MULTI = "multi-modal"
    SINGLE = "single-modal"
    BOTH = "both"


class SubsetChoice(StrEnum):
    """Which part of a data set to run."""

    ALL = "all"
    TRAIN = "train"
    TEST = "test"


PluginsOption = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", help="Load further plugins from a file."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
RunFolder = Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)]
DataOption = Annotated[
    str | None,
    typer.Option("--data", "-d", help="Where the data set is now, if it moved."),
]


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter("it must be a finite number")
    return value


MAX_TIMEOUT = 7 * 24 * 3600.0  # s; a pair that takes a week is hung
MAX_PROCESSES = 1024
TimeoutOption = Annotated[
    float,
    typer.Option(min=0.1, max=MAX_TIMEOUT, callback=_finite, help="Seconds a pair may take."),
]
MemoryOption = Annotated[
    float | None,
    typer.Option(
        "--memory",
        min=0.1,
        callback=_finite,
        help="GiB a worker may take; nearly all there is if left out.",
        show_default=False,
    ),
]
ExecutorOption = Annotated[
    str, typer.Option(help="processes, ray, or in-process, which debuggers see and nothing guards.")
]
AddressOption = Annotated[
    str | None, typer.Option(help="Of a Ray cluster; one is started here if left out.")
]
WorkersOption = Annotated[
    int,
    typer.Option(
        min=1, max=MAX_PROCESSES, help="Processes; with more than one no latency is reported."
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]
DeviceOption = Annotated[str, typer.Option(help="cpu or cuda.")]


AcceptOption = Annotated[
    bool,
    typer.Option("--accept-license", help="Accept non-commercial weights, for good."),
]


EnvOption = Annotated[
    list[str] | None,
    typer.Option(
        "--env",
        metavar="NAME=PATH",
        help="Interpreter for a method that runs in an environment of its own.",
    ),
]


def ready_environments(named: list[str] | None, methods: Sequence[str]) -> None:
    """Note the interpreters that are named, and make the environments that methods still need.

    They are made here, in sight, and not by a worker; a method whose environment cannot be made
    gets rows that say so, like any other that cannot work here.
    """
    from imedbench.cli.terminal import remarks
    from imedbench.core.programs.declaring import make_environment_of, name_interpreter

    for text in named or []:
        name_interpreter(text)
    for spec in methods:
        try:
            make_environment_of(spec)
        except Declined as reason:
            remarks.print(f"note: {reason}", style="dim", highlight=False)


def note_acceptance(accepted: bool) -> None:
    """Tell the methods, in this process and its workers, that licences are accepted."""
    if accepted:
        os.environ["IMEDBENCH_ACCEPT_LICENSE"] = "1"


def load_plugins(files: list[Path] | None) -> tuple[Path, ...]:
    """Import the plugin files and return their paths."""
    for file in files or []:
        load_plugin_file(file)
    return tuple(files or [])


def names(text: str) -> tuple[str, ...]:
    """Split a comma-separated list.

    Raises:
        BadInput: when it is empty or names one thing twice.

    Example:
        >>> names("identity, sift:ratio=0.7")
        ('identity', 'sift:ratio=0.7')
    """
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise BadInput("an empty list of names; separate them by commas: identity,sift")
    if len(set(found)) < len(found):
        raise BadInput(f"{text!r} names something twice")
    return found


def check_device(device: str) -> str:
    """Return the device, once it is sure to be there.

    Raises:
        BadInput: when it is not.
    """
    if device == "cpu":
        return device
    import torch

    if not device.startswith("cuda"):
        raise BadInput(f"there is no device {device!r}; say cpu or cuda")
    if not torch.cuda.is_available():
        raise BadInput("--device cuda: torch finds no CUDA device here; use --device cpu")
    return device


def checked_split(text: str) -> Split:
    """Return the split of that name.

    Raises:
        BadInput: when there is none.
    """
    from imedbench.core.types import SPLITS

    for split in SPLITS:
        if text == split:
            return split
    raise BadInput(f"there is no split {text!r}; say {' or '.join(SPLITS)}")


def outcomes(text: str) -> frozenset[Outcome]:
    """Return the outcomes of a comma-separated list.

    Raises:
        BadInput: for one that there is not.
    """
    from imedbench.core.types import Outcome

    known = [str(o) for o in Outcome if o is not Outcome.OK]
    asked = names(text) if text else ()
    for name in asked:
        if name not in known:
            raise BadInput(f"--retry {name}: no such outcome; there are {', '.join(known)}")
    return frozenset(map(Outcome, asked))
