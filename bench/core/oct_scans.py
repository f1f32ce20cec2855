"""What exports of OCT devices have in common, whoever built the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from imedbench.core.decoding import Picture
from imedbench.core.errors import BadInput
from imedbench.core.resize import resize

_EYES = {"OD": "right eye", "OS": "left eye"}
_PARALLEL = 0.05  # sine of the largest angle between two lines of a raster
_LEVEL_DEG = 5.0  # lines that are turned by more than this are worth a remark


@dataclass(frozen=True)
class Scan:
    """What a file says of one of its scans.

    Args:
        kind: of its fundus image.
        eye: ``OD`` or ``OS``; empty where the file does not say.
        lines: of its OCT volume; 0 for an image alone.
    """

    kind: str
    eye: str
    lines: int

    def __str__(self) -> str:
        scanned = f"OCT of {self.lines} lines" if self.lines else ""
        return ", ".join(filter(None, (self.kind, _EYES.get(self.eye, ""), scanned)))


class Export(Protocol):
    """The scans of one file, each with a fundus image or an OCT volume or both."""

    @property
    def scans(self) -> Sequence[Scan]:
        """Tell what there is, in the order of the file."""

    def fundus(self, number: int) -> Picture:
        """Return the fundus image of a scan, counted from 0."""

    def above(self, number: int) -> Picture:
        """Return the OCT volume of a scan as it is seen from above."""


def seen_from_above(
    volume: NDArray[Any],
    starts: NDArray[Any],
    ends: NDArray[Any],
    column: float,
    um_per_unit: float | None,
) -> Picture:
    """Take the mean of a volume along its depth and put its lines as far apart as they were.

    Args:
        volume: N×D×W, lines by depth by columns.
        starts: N×2, where each line begins on the retina: x right, y down, in any unit.
        ends: N×2, where each line ends.
        column: width of a column, in the same unit.
        um_per_unit: µm of that unit; None where the file does not say.

    Returns:
        The picture with square pixels, never mirrored.

    Raises:
        BadInput: when the lines are no raster.
    """
    lines, _, width = volume.shape
    if lines < 2:
        raise BadInput("a scan of a single line shows nothing from above")
    along, step = ends - starts, (starts[-1] - starts[0]) / (lines - 1)
    line = along[0]
    if not np.isfinite([*along.ravel(), *step, column]).all() or column <= 0:
        raise BadInput("it does not say where its lines lie")
    apart = np.abs(along[:, 0] * line[1] - along[:, 1] * line[0])
    side = float(line[0] * step[1] - line[1] * step[0])
    if side == 0 or (apart > _PARALLEL * float(line @ line)).any():
        raise BadInput("its lines do not lie beside one another: a circle or a star is no picture")
    seen = volume.mean(axis=1, dtype=np.float32)
    if side < 0:  # the device scanned upwards
        seen = seen[::-1]
    height = max(1, round(lines * abs(side) / float(np.hypot(*line)) / column))
    said = [f"OCT seen from above, {lines} lines stretched to {height} px"]
    turned = float(np.degrees(np.arctan2(line[1], line[0])))
    if abs(turned) > _LEVEL_DEG:
        said.append(f"its lines run at {turned:.0f}° and are shown level")
    spacing = None if um_per_unit is None else um_per_unit * column
    said.append("no pixel size in the file" if spacing is None else f"pixels of {spacing:.4g} µm")
    picture = resize(np.ascontiguousarray(seen), (width, height))
    return Picture(picture, "; ".join(said), None, spacing)
