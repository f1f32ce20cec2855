"""Topcon's ``.fda`` files: blocks with a name and a length, as the project uocte describes them.

Source: https://bitbucket.org/uocte/uocte/wiki/Topcon%20File%20Format. The packages that read such
files do not run on NumPy 2.3 and later.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from imedbench.core.decoding import MAX_PIXELS, Picture
from imedbench.core.errors import BadInput
from imedbench.core.oct_scans import Scan, seen_from_above

_MARK = b"FOCT"
_IN_JPEGS, _IN_ONE = b"@IMG_JPEG", b"@IMG_MOT_COMP_03"  # where a volume may be
_HEADER = 15  # bytes before the first block
_FUNDUS = struct.Struct("<6I")  # width, height, bits, slices, format, bytes
_JPEGS = struct.Struct("<B6I")  # kind, two unknown, width, height, lines, unknown
_RAW = struct.Struct("<B4IBI")  # kind, width, height, bits, lines, format, bytes
_EXTENT = {b"@PARAM_SCAN_04": 12, b"@PARAM_SCAN_02": 21}  # where width and height in mm begin
_PLACE = struct.Struct("<B2I4I")  # two unknown, left, top, right, bottom on the fundus image, px


class FdaExport:
    """An ``.fda`` file: one scan with a colour photograph.

    Args:
        file: the file.

    Raises:
        BadInput: when it is no such file.
    """

    def __init__(self, file: Path) -> None:
        self._content = file.read_bytes()
        if not self._content.startswith(_MARK):
            raise BadInput("it does not begin as such a file does")
        self._blocks: dict[bytes, bytes] = {}
        at = _HEADER
        while at < len(self._content) and (length := self._content[at]):
            name = self._content[at + 1 : at + 1 + length]
            (size,) = struct.unpack_from("<I", self._content, at + 1 + length)
            begin = at + 5 + length
            at = begin + size
            self._blocks.setdefault(name, self._content[begin:at])

    @property
    def scans(self) -> Sequence[Scan]:
        """Tell what there is."""
        return [Scan("colour fundus image", "", self._lines)]

    def fundus(self, number: int) -> Picture:
        """Return the colour photograph."""
        block = self._block(b"@IMG_FUNDUS")
        pixels = _decoded(block[_FUNDUS.size : _FUNDUS.size + _FUNDUS.unpack_from(block)[-1]])
        if pixels.ndim == 3:
            pixels = pixels[..., ::-1]  # stored blue first
        um = self._fundus_um()
        size = "no pixel size in the file" if um is None else f"pixels of {um:.4g} µm"
        return Picture(pixels, f"{self.scans[number]}; {size}", None, um)

    def above(self, number: int) -> Picture:
        """Return the volume as it is seen from above, its first line on top."""
        volume = self._volume()
        lines, _, width = volume.shape
        extent = self._extent_mm()
        across, down = extent or (1.0, 1.0)  # a square is what is scanned most
        starts = np.stack([np.zeros(lines), np.linspace(0, down, lines)], 1)
        ends = np.add(starts, [across, 0])
        return seen_from_above(volume, starts, ends, across / width, 1000.0 if extent else None)

    @property
    def _lines(self) -> int:
        for name, header, place in ((_IN_JPEGS, _JPEGS, 5), (_IN_ONE, _RAW, 4)):
            if name in self._blocks:
                return int(header.unpack_from(self._blocks[name])[place])
        return 0

    def _volume(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """N×D×W."""
        if _IN_JPEGS in self._blocks:
            block, slices = self._blocks[_IN_JPEGS], []
            at = _JPEGS.size
            for _ in range(self._lines):
                (size,) = struct.unpack_from("<I", block, at)
                slices.append(_decoded(block[at + 4 : at + 4 + size]))
                at += 4 + size
            return np.stack(slices)
        block = self._block(_IN_ONE)
        _, width, height, _, lines, _, _ = _RAW.unpack_from(block)
        values = np.frombuffer(block, "<u2", width * height * lines, _RAW.size)
        return values.reshape(lines, height, width)

    def _extent_mm(self) -> tuple[float, float] | None:
        """Width and height of what was scanned; None where the file does not say."""
        for name, begin in _EXTENT.items():
            if name in self._blocks:
                across, down = struct.unpack_from("<2d", self._blocks[name], begin)
                return (across, down) if across > 0 and down > 0 else None
        return None

    def _fundus_um(self) -> float | None:
        """Size of the photograph's pixels, from the place of the scan on it."""
        extent = self._extent_mm()
        if extent is None or b"@REGIST_INFO" not in self._blocks:
            return None
        left, _, right, _ = _PLACE.unpack_from(self._blocks[b"@REGIST_INFO"])[3:]
        return 1000 * extent[0] / (right - left) if right > left else None

    def _block(self, name: bytes) -> bytes:
        if name not in self._blocks:
            raise BadInput(f"it has no block {name.decode()}")
        return self._blocks[name]


def _decoded(content: bytes) -> NDArray[np.uint8]:
    with PIL.Image.open(io.BytesIO(content)) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise BadInput("its image is too large")
        return np.asarray(opened)
