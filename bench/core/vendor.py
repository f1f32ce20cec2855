"""Exports of OCT devices: the fundus image, and the scan seen from above.

Heidelberg's ``.vol`` and ``.e2e`` and Topcon's ``.fda`` files are read by eyepy, which comes with
``pip install 'imedbench[vendor]'``; ``.fda`` needs ``oct-converter`` beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imedbench.core.decoding import Picture
from imedbench.core.errors import BadInput
from imedbench.core.resize import resize

if TYPE_CHECKING:
    from eyepy import EyeVolume

READERS = {
    ".vol": "import_heyex_vol",
    ".e2e": "import_heyex_e2e",
    ".fda": "import_topcon_fda",
}
FUNDUS, EN_FACE = 1, 2  # pages


def read_export(path: Path, file: Path, page: int | None) -> Picture:
    """Read an image out of an OCT device's export.

    Args:
        path: for messages.
        file: with one of the endings of `READERS`.
        page: 1 for the fundus image, 2 for the mean of the OCT volume along its depth, with the
            lines of the scan put as far apart as they were on the retina.

    Raises:
        BadInput: when eyepy is not installed, the file cannot be read or no page is named.
    """
    if page not in (FUNDUS, EN_FACE):
        raise BadInput(
            f"{path}: say which image, {file.name}#1 for the fundus image or {file.name}#2 for the"
            " OCT seen from above"
        )
    try:
        from eyepy import io
    except ModuleNotFoundError as error:
        raise BadInput(
            f"{path}: exports of OCT devices need one more package: pip install 'imedbench[vendor]'"
        ) from error
    try:
        volume: EyeVolume = getattr(io, READERS[file.suffix.lower()])(file)
        return _fundus(volume) if page == FUNDUS else _en_face(volume)
    except ImportError as error:  # eyepy says which package reads this kind
        raise BadInput(f"{path}: {' '.join(str(error).split())}") from error
    except Exception as error:  # what a device writes, and what of it is damaged, fails in any way
        first = (str(error).splitlines() or [repr(error)])[0]
        raise BadInput(f"{path}: not an export that can be read ({first})") from error


def _fundus(volume: EyeVolume) -> Picture:
    um = 1000 * float(volume.localizer.scale_x)
    return Picture(np.asarray(volume.localizer.data), "fundus image of an OCT export", None, um)


def _en_face(volume: EyeVolume) -> Picture:
    lines, _, width = volume.shape
    seen = np.asarray(volume.data, np.float32).mean(axis=1)
    first, last = (volume.meta["bscan_meta"][n]["start_pos"][1] for n in (0, -1))
    if first > last:  # the device scanned upwards
        seen = seen[::-1]
    um = 1000 * float(volume.scale_x)
    height = max(1, round(lines * float(volume.scale_z) / float(volume.scale_x)))
    note = f"OCT seen from above, {lines} lines stretched to {height} px"
    return Picture(resize(np.ascontiguousarray(seen), (width, height)), note, None, um)
