"""CHASE_DB1: colour fundus photographs of both eyes of children, with vessel masks.

As published, all in one folder: ``Image_01L.jpg`` with ``Image_01L_1stHO.png``. The publisher names
no test part; as most papers do, the first ten children (20 photographs) train and the other four
test.
"""

from __future__ import annotations

from pathlib import Path

from imedbench.core.datasets import DatasetInfo
from imedbench.core.registry import DATASETS
from imedbench.datasets.maskset import MaskItem, MaskSet

TRAINING_CHILDREN = 10


@DATASETS.register("chasedb1")
class ChaseDb1(MaskSet):
    """CHASE_DB1: each photograph with a moved copy of itself."""

    info = DatasetInfo(
        name="chasedb1",
        summary="CHASE_DB1 photographs, each with a moved copy of itself",
        licence="research use, see the publisher",
        reference="Fraz et al., IEEE TBME 59(9), 2012",
    )
    modality = "cf"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell whether a folder is laid out as published."""
        return any(path.glob("Image_[0-9][0-9][LR].jpg"))

    def published_items(self) -> list[MaskItem]:
        """Return all photographs; the first observer's masks; a child's two eyes are one group."""
        return [
            MaskItem(
                item_id=path.stem.removeprefix("Image_"),
                subset="train" if int(path.stem[6:8]) <= TRAINING_CHILDREN else "test",
                group=path.stem[6:8],
                image=path,
                vessels=path.with_name(f"{path.stem}_1stHO.png"),
            )
            for path in sorted(self.root.glob("Image_[0-9][0-9][LR].jpg"))
        ]
