"""Train the learned parts.

``run(task, config_path, data, out, resume=False)`` is what ``imedbench train TASK`` calls. What
``data`` must be is written at each task's ``build``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

from imedbench.core.errors import BadInput

if TYPE_CHECKING:
    from imedbench.methods.training.config import TrainingConfig

FOLDER = Path(__file__).parent

# Task to (module, config class); modules need the ``train`` extra and load only when asked for.
TASKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "segmentation": ("segmentation", "SegmentationConfig"),
        "distillation": ("distillation", "DistillationConfig"),
        "cyclegan": ("cyclegan", "CycleGANConfig"),
        "arbicon": ("arbicon", "ArbiconConfig"),
        "joint": ("joint", "JointConfig"),
        "joint-judge": ("joint_judge", "JudgeConfig"),
        "joint-report": ("joint_report", "ReportConfig"),
        "superpoint": ("superpoint", "SuperPointConfig"),
        "superglue": ("superglue", "SuperGlueTraining"),
    }
)


def run(
    task: str,
    config_path: Path | None,
    data: Sequence[Path],
    out: Path,
    *,
    resume: bool = False,
) -> None:
    """Train a task by name.

    Args:
        task: one of `TASKS`.
        config_path: TOML settings; None takes the shipped ones, ``TASK.toml`` beside this file.
        data: folders the task reads, in the order it documents.
        out: the run folder.
        resume: go on from its last checkpoint.

    Raises:
        BadInput: for an unknown task, bad settings or data, or a missing ``train`` extra.
    """
    from imedbench.methods.training.config import read_config

    module, kind = load_task(task)
    config = read_config(kind, config_path or FOLDER / f"{task}.toml")
    from imedbench.methods.training.loop import train

    train(module.build, config, data, out, resume=resume)


def load_task(task: str) -> tuple[ModuleType, type[TrainingConfig]]:
    """Import a training: its module, whose ``build`` makes the task, and the class of its settings.

    Args:
        task: one of `TASKS`.

    Raises:
        BadInput: for an unknown task or a missing ``train`` extra.
    """
    if task not in TASKS:
        raise BadInput(f"{task}: unknown training, known are {', '.join(TASKS)}")
    name, config_name = TASKS[task]
    try:
        module = importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name not in {"lightning", "tensorboard"}:
            raise
        raise BadInput("training needs more: pip install 'imedbench[train]'") from error
    return module, getattr(module, config_name)
