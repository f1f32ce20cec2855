"""`imedbench train`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Task(StrEnum):
    """What can be trained."""

    SEGMENTATION = "segmentation"
    DISTILLATION = "distillation"
    CYCLEGAN = "cyclegan"
    ARBICON = "arbicon"
    JOINT = "joint"
    JOINT_JUDGE = "joint-judge"
    JOINT_REPORT = "joint-report"
    SUPERPOINT = "superpoint"
    SUPERGLUE = "superglue"


def train_command(
    task: Annotated[Task, typer.Argument(help="What to train.", show_default=False)],
    data: Annotated[
        list[Path], typer.Option("--data", "-d", help="Folder to learn from; may be repeated.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the training; trainings/TASK.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML settings; the shipped ones if left out.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
) -> None:
    """Train a network on your own data.

    Example:

    imedbench train segmentation --data OCTA500 --data DRIVE
    """
    from imedbench.methods.training import run

    run(task.value, config, data, out or Path("trainings") / task.value, resume=resume)
