"""What the joint network learns from: retinas as the modality transformer and as OCTA show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from imedbench.core.arrays import Pixels
from imedbench.core.errors import BadInput
from imedbench.core.field_of_view import field_of_view
from imedbench.core.pairs_file import FILE, PairRow, read_landmarks, read_pairs
from imedbench.core.polarity import has_dark_vessels, normalise
from imedbench.core.transforms import Affine, Quadratic
from imedbench.methods import weights
from imedbench.methods.networks.unet import UNet
from imedbench.methods.training.augment import REFERENCE_SIZE
from imedbench.methods.training.vessel_folders import VesselImage, read_colour, read_folder
from imedbench.methods.training.warped_pairs import Retina
from imedbench.methods.transfer import fake_octa

Transfer = Callable[[Pixels, NDArray[np.bool_], int], Pixels]


@dataclass(frozen=True)
class Reader:
    """Reads folders of images or of pairs.

    Args:
        transfer: turns a grey image with dark vessels into fake OCTA at a given size, see
            `fake_octa`.
        teacher: finds the vessels of images that come without a mask.
    """

    transfer: Transfer
    teacher: UNet

    def read(self, root: Path, split: str, zoom: float) -> list[Retina]:
        """Return the retinas of one folder.

        Args:
            root: a folder with ``pairs.csv`` and landmarks, or with ``images`` and ``vessels``.
            split: ``train`` or ``test``.
            zoom: magnification at which its images are transferred, 1 for 512 px wide.

        Raises:
            BadInput: when something is missing or cannot be read.
        """
        size = round(zoom * REFERENCE_SIZE)
        if (root / FILE).is_file():
            return self._pairs(root, split, size)
        images = read_folder(root, split)
        return [self._alone(root / "images" / split, image, size) for image in images]

    def _alone(self, folder: Path, image: VesselImage, size: int) -> Retina:
        """A colour fundus is seen as fake OCTA first, then with its vessels merely made bright."""
        grey = _grey(folder / f"{Path(image.name).name}.png")
        if not has_dark_vessels(grey, image.fov):
            return Retina.seen_once(image)
        plane = normalise(self.transfer(grey, image.fov, size), image.fov, dark_vessels=False)
        shown = VesselImage(image.name, plane, image.fov, image.vessels)
        return Retina(shown, image, Affine.identity())

    def _pairs(self, root: Path, split: str, size: int) -> list[Retina]:
        return [self._pair(root, row, size) for row in read_pairs(root, split)]

    def _pair(self, root: Path, row: PairRow, size: int) -> Retina:
        """The image with dark vessels, if there is one, comes first."""
        if not row["landmarks"]:
            raise BadInput(f"{root / FILE}, line {row.line}: no landmarks; a training needs them")
        marks = _landmarks(root / row["landmarks"])
        images = {side: self._image(root / row[side], size) for side in ("fixed", "moving")}
        first = "moving" if images["moving"].was_dark else "fixed"
        second = "fixed" if first == "moving" else "moving"
        return Retina(
            images[first].image, images[second].image, Quadratic.fit(marks[second], marks[first])
        )

    def _image(self, path: Path, size: int) -> _Read:
        colour = read_colour(path)
        fov = field_of_view(colour)
        grey = np.ascontiguousarray(colour[..., 1])
        dark = has_dark_vessels(grey, fov)
        shown = self.transfer(grey, fov, size) if dark else grey
        plane = normalise(shown, fov, dark_vessels=False)
        vessels = self._vessels(normalise(grey, fov, dark_vessels=dark)) & fov
        return _Read(VesselImage(path.stem, plane, fov, vessels), dark)

    def _vessels(self, bright: NDArray[np.float32]) -> NDArray[np.bool_]:
        with torch.inference_mode():
            logits = self.teacher(torch.from_numpy(bright)[None, None])
        return np.asarray(logits[0, 0].numpy() > 0)


@dataclass(frozen=True, eq=False)
class _Read:
    """An image and whether its vessels were dark."""

    image: VesselImage
    was_dark: bool


def read_retinas(
    data: Sequence[Path], split: str, zooms: Sequence[float], transformer: str, teacher: str
) -> list[list[Retina]]:
    """Return the retinas of every folder.

    Args:
        data: folders, see `Reader.read`.
        split: ``train`` or ``test``.
        zooms: magnification of each at the transfer; a single one is for all.
        transformer: name of the shipped generator; empty to merely make vessels bright.
        teacher: name of the shipped U-Net.

    Raises:
        BadInput: when zooms do not fit the folders, or see `Reader.read`.
    """
    if len(zooms) not in (1, len(data)):
        raise BadInput(f"zooms: {len(zooms)} given for {len(data)} data folders; give one for each")
    net = weights.load(teacher)
    assert isinstance(net, UNet)
    reader = Reader(_transfer(transformer), net)
    return [reader.read(root, split, zooms[i % len(zooms)]) for i, root in enumerate(data)]


def _transfer(name: str) -> Transfer:
    if not name:
        return lambda grey, fov, size: np.asarray(255 - grey, np.uint8)
    generator = weights.load(name)
    return lambda grey, fov, size: fake_octa(generator, grey, fov, size, "cpu")


def _grey(path: Path) -> Pixels:
    return np.ascontiguousarray(read_colour(path)[..., 1])


def _landmarks(path: Path) -> dict[str, NDArray[np.float64]]:
    """Points of both images, N×2 px each, by side."""
    moving, fixed = read_landmarks(path)
    if len(moving) < 6:
        raise BadInput(f"{path}: {len(moving)} landmarks; a training needs six or more")
    return {"moving": moving, "fixed": fixed}
