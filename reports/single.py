"""The files of one registered pair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imedbench.core.transforms import Transform
from imedbench.core.types import Image, Outcome
from imedbench.reports.pictures import checkerboard, overlay, warped
from imedbench.runs.output import check_target, encode_picture, write_file

FILES = ("warped.png", "overlay.png", "checkerboard.png", "transform.json")


def check_folder(folder: Path, inputs: Sequence[Path], *, force: bool) -> None:
    """Make sure that a result can be written.

    Args:
        folder: where to.
        inputs: files that are never overwritten.
        force: whether an older result may be replaced.

    Raises:
        BadInput: when it cannot.
    """
    for name in FILES:
        check_target(folder / name, force=force, inputs=inputs, root=folder)


def write_result(
    folder: Path,
    fixed: Image,
    moving: Image,
    fixed_from_moving: Transform | None,
    facts: dict[str, Any],
    outcome: Outcome,
) -> list[str]:
    """Write the pictures and the transform of one pair.

    Args:
        folder: made if it is missing.
        fixed: the image whose frame is kept.
        moving: the image that was aligned.
        fixed_from_moving: the transform.
        facts: what goes into ``transform.json``.
        outcome: nothing is written unless it is ``ok``.

    Returns:
        The files written; none if the outcome is not ``ok``.

    Raises:
        BadInput: when the folder cannot be made or written to.
    """
    if outcome is not Outcome.OK or fixed_from_moving is None:
        return []
    pictures = {
        "warped.png": warped(fixed, moving, fixed_from_moving),
        "overlay.png": overlay(fixed, moving, fixed_from_moving),
        "checkerboard.png": checkerboard(fixed, moving, fixed_from_moving),
    }
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    contents = {name: encode_picture(folder / name, picture) for name, picture in pictures.items()}
    contents["transform.json"] = text.encode()
    for name, content in contents.items():
        write_file(folder / name, content)
    return [str(folder / name) for name in contents]
