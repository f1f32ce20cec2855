"""Exports of Heidelberg's devices, ``.vol`` and ``.e2e``, read by eyepy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imedbench.core.decoding import Picture
from imedbench.core.errors import BadInput
from imedbench.core.oct_scans import Scan, seen_from_above

if TYPE_CHECKING:
    from eyepy.io import HeE2eReader, HeVolReader

_UM_PER_MM = 1000.0
_FUNDUS = 33620481  # kind of image in an .e2e file


class VolExport:
    """A ``.vol`` file: one scan.

    Args:
        file: the file.
    """

    def __init__(self, file: Path) -> None:
        from eyepy.io import HeVolReader

        self._reader: HeVolReader = HeVolReader(file)

    @property
    def scans(self) -> Sequence[Scan]:
        """Tell what there is."""
        header = self._reader.parsed_file
        return [Scan("fundus image", header.scan_position.strip("\0 "), int(header.n_bscans))]

    def fundus(self, number: int) -> Picture:
        """Return the fundus image."""
        um = _UM_PER_MM * float(self._reader.parsed_file.scale_x_slo)
        note = f"{self.scans[number]}; pixels of {um:.4g} µm"
        return Picture(np.asarray(self._reader.localizer.data), note, None, um)

    def above(self, number: int) -> Picture:
        """Return the volume as it is seen from above."""
        from eyepy.core.utils import from_vol_intensity

        stored = np.stack([line.data for line in self._reader.parsed_file.bscans])
        column = float(self._reader.parsed_file.scale_x)
        ends = _ends(self._reader.bscan_meta)
        return seen_from_above(from_vol_intensity(stored), *ends, column, _UM_PER_MM)


class E2eExport:
    """An ``.e2e`` file: often many scans, of both eyes and several days.

    It holds angles and no lengths, so that its images come without a pixel size.

    Args:
        file: the file.
    """

    def __init__(self, file: Path) -> None:
        from eyepy.io import HeE2eReader
        from eyepy.io.he.e2e_format import TypesEnum

        self._reader: HeE2eReader = HeE2eReader(file)
        self._image, self._eye = TypesEnum.image, TypesEnum.laterality
        self._modality = TypesEnum.enface_modality
        self._series = [s for s in self._reader.series if s.n_bscans or self._image in s.folders]
        if not self._series:
            raise BadInput("it holds no scan")

    @property
    def scans(self) -> Sequence[Scan]:
        """Tell what there is, series by series."""
        with self._reader:
            return [self._scan(series) for series in self._series]

    def fundus(self, number: int) -> Picture:
        """Return the fundus image of a scan."""
        with self._reader:
            series = self._series[number]
            # That of a single line may be kept with the line.
            holders = (series, *series.slices.values())
            images = [f.data for h in holders for f in h.folders.get(self._image, ())]
            fundus = [np.array(image.data) for image in images if image.type == _FUNDUS]
            if not fundus:
                raise BadInput("this scan has no fundus image")
            return Picture(fundus[0], f"{self._scan(series)}; no pixel size in the file")

    def above(self, number: int) -> Picture:
        """Return the volume of a scan as it is seen from above."""
        from eyepy.core.utils import from_e2e_intensity

        with self._reader:
            series = self._series[number]
            if not series.n_bscans:
                raise BadInput("this scan is an image without OCT")
            meta = series.get_bscan_meta()
            starts, ends = _ends(meta)
            column = float(np.hypot(*(ends[0] - starts[0]))) / int(meta[0]["imgSizeWidth"])
            volume = from_e2e_intensity(series.get_bscans())
        return seen_from_above(volume, starts, ends, column, None)

    def _scan(self, series: Any) -> Scan:
        has = series.folders
        kind = series.enface_modality() if self._modality in has else ""
        eye = has[self._eye][0].data.laterality.name if self._eye in has else ""
        return Scan(f"{kind} fundus image".strip(), eye, series.n_bscans)


def _ends(lines: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Where the lines of a scan begin and end, N×2 each."""
    starts, ends = (np.array([m[name] for m in lines], float) for name in ("start_pos", "end_pos"))
    return starts, ends
