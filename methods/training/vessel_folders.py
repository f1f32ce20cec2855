"""Read images with vessel masks: ``ROOT/images/SPLIT/ID.png`` and ``ROOT/vessels/SPLIT/ID.png``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.errors import BadInput
from imedbench.core.field_of_view import field_of_view
from imedbench.core.images import read_image
from imedbench.core.pairs_file import FILE, read_pairs
from imedbench.core.perceptual import perceptual_hash
from imedbench.core.polarity import normalise

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class VesselImage:
    """A polarity-normalised image and its reference vessels.

    Args:
        name: ``ROOT/ID`` for messages and tables.
        plane: float32 H×W in [0, 1], bright vessels.
        fov: bool H×W.
        vessels: bool H×W.
        likely: float32 H×W in [0, 1], how likely each pixel is a vessel, where more is known than
            the mask says.
    """

    name: str
    plane: NDArray[np.float32]
    fov: NDArray[np.bool_]
    vessels: NDArray[np.bool_]
    likely: NDArray[np.float32] | None = None

    @property
    def target(self) -> NDArray[np.float32]:
        """What a network should find, float32 H×W in [0, 1]."""
        return self.vessels.astype(np.float32) if self.likely is None else self.likely


def read_folder(root: Path, split: str) -> list[VesselImage]:
    """Return all images of one split, in the order of their names.

    Args:
        root: a folder with ``images`` and ``vessels``.
        split: the name of the folders below them, ``train`` or ``test``.

    Raises:
        BadInput: when there are none, or one lacks its mask or has one of another size.
    """
    paths = sorted((root / "images" / split).glob("*.png"))
    if not paths:
        raise BadInput(
            f"{root}: no images/{split}/*.png there; name a folder with images/SPLIT/ID.png "
            "and vessels/SPLIT/ID.png"
        )
    return [_read(path, root / "vessels" / split / path.name) for path in paths]


def list_images(root: Path, split: str) -> list[Path]:
    """Image files of one split of a pair set or of a folder with vessel masks.

    Args:
        root: a folder with ``pairs.csv`` that names subsets, or with
            ``images/SPLIT/ID.png``.
        split: ``train`` or ``test``.

    Raises:
        BadInput: when there are none.
    """
    if (root / FILE).is_file():
        rows = read_pairs(root, split)
        paths = [root / row[side] for row in rows for side in ("fixed", "moving")]
    else:
        paths = sorted((root / "images" / split).glob("*.png"))
    if not paths:
        raise BadInput(
            f"{root}: no {split} images; name a folder with a pairs.csv or images/{split}/*.png"
        )
    return paths


def hash_images(roots: Iterable[Path]) -> tuple[str, ...]:
    """Perceptual hashes of the training images of folders, for the cards of what they train."""
    images = (read_image(path) for root in roots for path in list_images(root, "train"))
    return tuple(dict.fromkeys(perceptual_hash(image) for image in images))


def hold_out(images: Sequence[T], one_in: int) -> tuple[list[T], list[T]]:
    """Split off the last of the images for validation.

    The last rather than every n-th, so that both eyes of a person, which follow one another by
    name, stay together.

    Args:
        images: in the order of their names.
        one_in: hold out a 1/one_in part, at least one image.

    Returns:
        Images to train with, images to validate with.

    Raises:
        BadInput: when that leaves none to train with.
    """
    if len(images) < 2:
        raise BadInput(
            f"a data folder has {len(images)} image for training, and one has to be held out to"
            " validate on; give every folder two or more"
        )
    count = max(1, len(images) // one_in)
    return list(images[:-count]), list(images[-count:])


def read_colour(path: Path) -> NDArray[np.uint8]:
    """Return an image file as uint8 H×W×3 in the order blue, green, red.

    Raises:
        BadInput: when it cannot be read.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise BadInput(f"{path}: cannot be read as an image; give a PNG, JPEG or TIFF file")
    return np.asarray(pixels, np.uint8)


def _read(path: Path, mask_path: Path) -> VesselImage:
    pixels = read_colour(path)
    if not mask_path.is_file():
        raise BadInput(f"{mask_path}: missing; every image needs a vessel mask of the same name")
    vessels = read_colour(mask_path)[..., 1] > 127
    if vessels.shape != pixels.shape[:2]:
        raise BadInput(
            f"{mask_path}: {vessels.shape} pixels, its image has {pixels.shape[:2]}; "
            "give both in the same size"
        )
    fov = field_of_view(pixels)
    green = np.ascontiguousarray(pixels[..., 1])
    return VesselImage(f"{path.parents[2].name}/{path.stem}", normalise(green, fov), fov, vessels)
