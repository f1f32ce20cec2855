"""Read the settings of a training from TOML, check them and write every one of them back."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, TypeVar, get_type_hints

from msgspec import Meta

from imedbench.core.errors import BadInput
from imedbench.core.options import convert, suggest

Positive = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What every training has in common; a task's config adds its own fields.

    Args:
        seed: of weights, samples and augmentation.
        epochs: after which the learning rate has come down.
        steps_per_epoch: optimiser steps between two validations and checkpoints.
        minutes: stop after the epoch in which this much time is spent, resumed time included;
            0 for no limit.
        patience: epochs without improvement after which to stop.
        batch_size: samples a step and device.
        learning_rate: at its highest.
        precision: Lightning's name, such as ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        devices: how many of them, 0 for all there are; more than one train by DDP.
        workers: processes that make samples; 0 makes them in the training process.
        threads: CPU threads of the training process; 0 leaves torch's choice.
    """

    seed: Natural = 0
    epochs: Positive = 50
    steps_per_epoch: Positive = 200
    minutes: Annotated[float, Meta(ge=0)] = 0.0
    patience: Natural = 50
    batch_size: Positive = 8
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-3
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: Natural = 0
    workers: Natural = 0
    threads: Natural = 0


Config = TypeVar("Config", bound=TrainingConfig)


def read_config(kind: type[Config], path: Path | None) -> Config:
    """Read a config file; settings it leaves out keep their defaults.

    Args:
        kind: the dataclass of the task.
        path: a TOML file of ``name = value`` lines, or None for all defaults.

    Returns:
        The config.

    Raises:
        BadInput: for a file that cannot be read, an unknown name or a value that does not fit.
    """
    if path is None:
        return kind()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such config file") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read, {error.strerror}") from None
    except ValueError as error:  # of TOML, or of text in another encoding
        raise BadInput(f"{path}: not valid TOML in UTF-8, {error}") from None
    known = get_type_hints(kind, include_extras=True)
    for name, value in values.items():
        if name not in known:
            raise BadInput(f"{path}: unknown setting {name!r}; {suggest(name, known)}")
        try:
            values[name] = convert(value, known[name])
        except ValueError as error:
            raise BadInput(f"{path}: {name} = {json.dumps(value, default=str)}: {error}") from None
    return kind(**values)


def write_config(config: TrainingConfig, path: Path) -> None:
    """Write every setting, defaults included, as TOML that `read_config` reads back."""
    # JSON and TOML write numbers, strings, switches and lists alike.
    lines = (f"{f.name} = {json.dumps(getattr(config, f.name))}" for f in fields(config))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
