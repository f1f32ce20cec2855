"""The files of one registered pair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imedbench.core.errors import BadInput
from imedbench.core.images import write_image
from imedbench.core.transforms import Transform
from imedbench.core.types import Image, Outcome
from imedbench.reports.pictures import checkerboard, overlay, warped

FILES = ("warped.png", "overlay.png", "checkerboard.png", "transform.json")


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
    for name in FILES:
        if (folder / name).is_symlink():
            raise BadInput(f"{folder / name}: a link; it is not written through, remove it first")
    pictures = {
        "warped.png": warped(fixed, moving, fixed_from_moving),
        "overlay.png": overlay(fixed, moving, fixed_from_moving),
        "checkerboard.png": checkerboard(fixed, moving, fixed_from_moving),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror})") from error
    for name, picture in pictures.items():
        write_image(folder / name, picture)
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    (folder / "transform.json").write_text(text, encoding="utf-8")
    return [str(folder / name) for name in (*pictures, "transform.json")]
