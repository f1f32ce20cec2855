"""Read the settings of a training from TOML, check them and write every one of them back."""

from __future__ import annotations

import difflib
import json
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from imedbench.core.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class RunConfig:
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

    seed: int = 0
    epochs: int = 50
    steps_per_epoch: int = 200
    minutes: float = 0.0
    patience: int = 50
    batch_size: int = 8
    learning_rate: float = 1e-3
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int = 0
    workers: int = 0
    threads: int = 0


Config = TypeVar("Config", bound=RunConfig)


def read_config(kind: type[Config], path: Path | None) -> Config:
    """Read a config file; settings it leaves out keep their defaults.

    Args:
        kind: the dataclass of the task.
        path: a TOML file of ``name = value`` lines, or None for all defaults.

    Returns:
        The config.

    Raises:
        BadInput: for a file that cannot be read, an unknown name or a value of another type.
    """
    if path is None:
        return kind()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such config file") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: not valid TOML, {error}") from None
    defaults = kind()
    known = {field.name for field in fields(kind)}
    for name, value in values.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}"
            raise BadInput(f"{path}: unknown setting {name!r}, {hint}")
        values[name] = _like(getattr(defaults, name), value, f"{path}: {name}")
    return kind(**values)


def write_config(config: RunConfig, path: Path) -> None:
    """Write every setting, defaults included, as TOML that `read_config` reads back."""
    lines = (f"{f.name} = {_toml(getattr(config, f.name))}" for f in fields(config))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _like(default: object, value: object, where: str) -> Any:
    """The value in the type of the default: 1 is good for a float, a list for a tuple."""
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(_like(default[0], item, where) for item in value) if default else tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        wanted = "list" if isinstance(default, tuple) else type(default).__name__
        raise BadInput(f"{where} must be a {wanted}, not {value!r}")
    return value


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value)  # JSON and TOML write numbers, strings and booleans alike
