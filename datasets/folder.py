"""Images of two modalities in one folder, told apart by name: ``ID_cf.png``, ``ID_octa.tif``.

The way to align a folder of scans without writing a list of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from imedbench.core.datasets import DatasetInfo, MissingSplit, PairRef, file_fingerprint
from imedbench.core.errors import BadInput, Collector, Mistakes
from imedbench.core.images import read_image
from imedbench.core.pairs_file import FILE
from imedbench.core.registry import DATASETS
from imedbench.core.types import ImagePair, Split

ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".dcm")


@DATASETS.register("folder")
class Folder:
    """The pairs of a folder, without any ground truth.

    Args:
        root: the folder.
        fixed: modality whose images keep their frame, as the names end.
        moving: modality of the others.

    Raises:
        BadInput: when it is no folder, or an image lacks its partner.
    """

    info = DatasetInfo(name="folder", summary="a folder of files ID_cf.* and ID_octa.*")

    def __init__(self, *, root: Path, fixed: str = "cf", moving: str = "octa") -> None:
        if not root.is_dir():
            raise BadInput(f"{root}: no such folder")
        self.root, self.fixed, self.moving = root, fixed.lower(), moving.lower()
        self.info = replace(self.info, name=root.resolve().name)

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell whether a folder holds such files and no list of pairs."""
        return (
            path.is_dir() and not (path / FILE).is_file() and bool(Folder(root=path)._sides()["cf"])
        )

    @cached_property
    def pairs(self) -> dict[str, tuple[Path, Path]]:
        """The files of the fixed and the moving image of each pair that has both, by id."""
        fixed, moving = self._sides().values()
        return {name: (fixed[name], moving[name]) for name in sorted(fixed.keys() & moving.keys())}

    def refs(self, split: Split) -> Sequence[PairRef]:
        """Return the pairs by id.

        Raises:
            MissingSplit: for single-modal.
            Mistakes: when an image lacks its partner or is there twice.
        """
        if split == "single-modal":
            raise MissingSplit(f"{self.root}: a folder of files makes no single-modal pairs")
        refs = [PairRef(name, split, "test", name, self.fixed, self.moving) for name in self.pairs]
        mistakes = Collector()
        fixed, moving = self._sides(mistakes).values()
        for name in sorted(fixed.keys() ^ moving.keys()):
            there, lacking = (fixed, self.moving) if name in fixed else (moving, self.fixed)
            mistakes.add(f"{there[name]}: its partner {name}_{lacking}.* is missing")
        if not refs and not mistakes.messages:
            mistakes.add(f"{self.root}: no files *_{self.fixed}.* with *_{self.moving}.* in it")
        if mistakes.messages:
            raise Mistakes(mistakes.messages, refs)
        return refs

    def load(self, ref: PairRef) -> ImagePair:
        """Read one pair.

        Raises:
            BadInput: when a file cannot be read.
        """
        fixed, moving = self.source_files(ref)
        return ImagePair(
            pair_id=ref.pair_id,
            fixed=read_image(fixed, ref.fixed_modality),
            moving=read_image(moving, ref.moving_modality),
            group=ref.group,
        )

    def source_files(self, ref: PairRef) -> tuple[Path, Path]:
        """Name the files of the fixed and the moving image."""
        if ref.pair_id not in self.pairs:
            raise BadInput(f"{self.root}: there is no pair {ref.pair_id!r} any more")
        return self.pairs[ref.pair_id]

    def fingerprint(self, ref: PairRef) -> str:
        """Tell whether the files of a pair can have changed."""
        return file_fingerprint(self.source_files(ref), ref)

    def _sides(self, mistakes: Collector | None = None) -> dict[str, dict[str, Path]]:
        """The files of each modality by id; notes what is there twice."""
        sides: dict[str, dict[str, Path]] = {self.fixed: {}, self.moving: {}}
        for path in sorted(self.root.iterdir()):
            name, _, modality = path.stem.rpartition("_")
            if not name or modality.lower() not in sides or path.suffix.lower() not in ENDINGS:
                continue
            first = sides[modality.lower()].setdefault(name, path)
            if first != path and mistakes is not None:
                mistakes.add(f"{path}: {first.name} is there too; remove one of them")
        return sides
