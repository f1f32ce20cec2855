"""DRIVE: colour fundus photographs with vessel masks.

As published: ``training/images/21_training.tif`` with ``training/1st_manual/21_manual1.gif`` and
``test/images/01_test.tif`` with ``test/1st_manual/01_manual1.gif``.
"""

from __future__ import annotations

from pathlib import Path

from imedbench.core.datasets import DatasetInfo
from imedbench.core.registry import DATASETS
from imedbench.datasets.maskset import MaskItem, MaskSet

FOLDERS = {"train": "training", "test": "test"}


@DATASETS.register("drive")
class Drive(MaskSet):
    """DRIVE: each photograph with a moved copy of itself."""

    info = DatasetInfo(
        name="drive",
        summary="DRIVE photographs, each with a moved copy of itself",
        licence="research use, see the publisher",
        reference="Staal et al., IEEE TMI 23(4), 2004",
    )
    modality = "cf"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell whether a folder is laid out as published."""
        return any((path / part / "1st_manual").is_dir() for part in FOLDERS.values())

    def published_items(self) -> list[MaskItem]:
        """Return the photographs of both parts; the first annotator's masks."""
        return [
            MaskItem(
                item_id=path.name[:2],
                subset=subset,
                group=path.name[:2],
                image=path,
                vessels=self.root / folder / "1st_manual" / f"{path.name[:2]}_manual1.gif",
            )
            for subset, folder in FOLDERS.items()
            for path in sorted((self.root / folder / "images").glob("[0-9][0-9]_*.tif"))
        ]
