"""OCTA-500: OCTA en face projections with large-vessel masks.

As published, one folder a field of view: ``OCTA_3mm/Projection Maps/OCTA(ILM_OPL)/10301.bmp`` (304
px) or ``OCTA_6mm/…/10001.bmp`` (400 px), and the masks in ``Label/GT_LargeVessel/10301.bmp`` or
``OCTA_3mm/GT_LargeVessel/10301.bmp``. The parts follow the authors' numbers; what they call
validation counts as training here, and every person was scanned once a field.
"""

from __future__ import annotations

from pathlib import Path

from imedbench.core.datasets import DatasetInfo
from imedbench.core.registry import DATASETS
from imedbench.datasets.maskset import MaskItem, MaskSet

PROJECTION = Path("Projection Maps") / "OCTA(ILM_OPL)"
FIRST_TEST = {"OCTA_3mm": 10451, "OCTA_6mm": 10201}


@DATASETS.register("octa500")
class Octa500(MaskSet):
    """OCTA-500: each scan with a moved copy of itself."""

    info = DatasetInfo(
        name="octa500",
        summary="OCTA-500 scans, each with a moved copy of itself",
        licence="research use, see the publisher",
        reference="Li et al., Medical Image Analysis 93, 2024",
    )
    modality = "octa"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell whether a folder is laid out as published."""
        return any((path / field / PROJECTION).is_dir() for field in FIRST_TEST)

    def published_items(self) -> list[MaskItem]:
        """Return the scans of both fields of view."""
        return [
            MaskItem(
                item_id=path.stem,
                subset="test" if int(path.stem) >= first_test else "train",
                group=path.stem,
                image=path,
                vessels=self._mask(field, path.name),
            )
            for field, first_test in FIRST_TEST.items()
            for path in sorted((self.root / field / PROJECTION).glob("[0-9]*.bmp"))
        ]

    def _mask(self, field: str, name: str) -> Path:
        beside = self.root / field / "GT_LargeVessel" / name
        return beside if beside.is_file() else self.root / "Label" / "GT_LargeVessel" / name
