"""Images with vessel masks as a source of training data and of pairs with exact truth.

A collection that shows every eye once has no pairs. It offers each image with a copy of itself
instead, moved by a known warp: in the single-modal split the copy keeps its look, in the
multi-modal split its grey levels are turned over and bent, as another device would show it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from imedbench.core.arrays import Mask, Pixels, Points
from imedbench.core.datasets import DatasetInfo, PairRef, file_fingerprint
from imedbench.core.errors import BadInput
from imedbench.core.images import read_image, read_mask
from imedbench.core.types import GroundTruth, Image, ImagePair, Split

RESTYLED = "restyled"
"""Modality of a copy whose grey levels were changed."""

_LANDMARKS = 30


@dataclass(frozen=True)
class MaskItem:
    """The files of one image.

    Args:
        item_id: unique within the set.
        subset: ``train`` or ``test``.
        group: eye or patient.
        image: the picture.
        vessels: its reference mask.
    """

    item_id: str
    subset: str
    group: str
    image: Path
    vessels: Path


@dataclass(frozen=True, eq=False)
class MaskSample:
    """An image with its reference vessels, bool H×W."""

    item: MaskItem
    image: Image
    vessels: Mask


class MaskSet(ABC):
    """Base of the collections with vessel masks; it is a data set of semi-synthetic pairs.

    Args:
        root: the collection's folder, as published, or with ``images/SPLIT/ID.png`` and
            ``vessels/SPLIT/ID.png``.
        level: how far the copies are moved; see the synthetic data set.
        seed: other seeds give other movements.

    Raises:
        BadInput: when the folder holds no images, or one lacks its mask.
    """

    info: ClassVar[DatasetInfo]
    modality: ClassVar[str]
    pixel_um: ClassVar[float | None] = None

    def __init__(
        self, *, root: Path, level: Literal["easy", "imed", "hard"] = "hard", seed: int = 0
    ) -> None:
        if not root.is_dir():
            raise BadInput(f"{root}: no such folder")
        self.root, self.level, self.seed = root, level, seed

    @abstractmethod
    def published_items(self) -> list[MaskItem]:
        """Return the files in the collection's own layout; empty when that is not the layout."""

    @cached_property
    def items(self) -> list[MaskItem]:
        """Every image, training images first, each part by name.

        Raises:
            BadInput: when there are none.
        """
        items = plain_items(self.root) or self.published_items()
        if not items:
            raise BadInput(
                f"{self.root}: neither the folders of {self.info.name} as published nor"
                " images/SPLIT/ID.png with vessels/SPLIT/ID.png"
            )
        return sorted(items, key=lambda item: (item.subset != "train", item.item_id))

    def read(self, item: MaskItem) -> MaskSample:
        """Read one image with its mask.

        Raises:
            BadInput: when a file is no picture or the two differ in size.
        """
        image = read_image(item.image, self.modality)
        return MaskSample(item, image, read_mask(item.vessels, image.shape))

    def refs(self, split: Split) -> Sequence[PairRef]:
        """One pair an image."""
        return [
            PairRef(
                pair_id=item.item_id,
                split=split,
                subset=item.subset,
                group=item.group,
                fixed_modality=self.modality,
                moving_modality=self.modality if split == "single-modal" else RESTYLED,
                note="moving image made from the fixed one",
            )
            for item in self.items
        ]

    def fingerprint(self, ref: PairRef) -> str:
        """Tell whether the files of a pair can have changed."""
        item = next(i for i in self.items if i.item_id == ref.pair_id)
        return file_fingerprint([item.image, item.vessels], ref, self.level, self.seed)

    def load(self, ref: PairRef) -> ImagePair:
        """Read an image and make its moved copy.

        Raises:
            BadInput: when a file is no picture or image and mask differ in size.
        """
        sample = self.read(next(i for i in self.items if i.item_id == ref.pair_id))
        return self_pair(sample, ref, self.level, self.seed, self.pixel_um)


def plain_items(root: Path) -> list[MaskItem]:
    """Return the files of a folder with ``images/SPLIT/ID.png`` and ``vessels/SPLIT/ID.png``."""
    return [
        MaskItem(path.stem, subset, path.stem, path, root / "vessels" / subset / path.name)
        for subset in ("train", "test")
        for path in sorted((root / "images" / subset).glob("*.png"))
    ]


def self_pair(
    sample: MaskSample,
    ref: PairRef,
    level: Literal["easy", "imed", "hard"],
    seed: int,
    pixel_um: float | None,
) -> ImagePair:
    """Pair an image with a moved copy of itself.

    Args:
        sample: the image, which becomes the fixed one.
        ref: what the pair is called and which split it belongs to.
        level: how far the copy is moved.
        seed: with the pair's name, decides how.
        pixel_um: size of a pixel, if known.
    """
    import cv2

    from imedbench.datasets.synthetic.randomness import stream
    from imedbench.datasets.synthetic.view import dense_map
    from imedbench.datasets.synthetic.warps import make_warp

    rng = stream(seed, "self pair", ref.pair_id)
    warp = make_warp(level, sample.image.size, rng)
    where = dense_map(warp.fixed_from_moving, sample.image.size)
    copy = cv2.remap(sample.image.pixels, where, None, cv2.INTER_CUBIC)
    vessels = cv2.remap(sample.vessels.astype(np.float32), where, None, cv2.INTER_LINEAR) > 0.5
    restyle = _restyled if ref.split == "multi-modal" else _rescanned
    fixed_points = _vessel_points(sample.vessels, rng)
    moving_points = warp.moving_from_fixed.apply(fixed_points)
    seen = ((moving_points >= 0) & (moving_points <= np.array(sample.image.size) - 1)).all(1)
    return ImagePair(
        pair_id=ref.pair_id,
        fixed=sample.image,
        moving=Image(restyle(np.asarray(copy, np.uint8), rng), ref.moving_modality),
        truth=GroundTruth(
            moving_points=moving_points[seen][:_LANDMARKS],
            fixed_points=fixed_points[seen][:_LANDMARKS],
            fixed_vessels=sample.vessels,
            moving_vessels=vessels,
            fixed_from_moving=warp.fixed_from_moving,
            spacing_um=pixel_um,
        ),
        group=ref.group,
        subset=ref.subset,
        note=ref.note,
    )


def _rescanned(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The same look under other light and with other noise."""
    bent = (pixels / 255.0) ** rng.uniform(0.75, 1.35)
    noisy = 255 * bent + rng.normal(0, rng.uniform(2, 7), pixels.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _restyled(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Grey levels turned over and blurred: vessels change from bright to dark or back."""
    import cv2

    grey = pixels if pixels.ndim == 2 else pixels[..., 1]
    soft = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.6, 1.6))
    return _rescanned(255 - np.asarray(soft, np.uint8), rng)


def _vessel_points(vessels: Mask, rng: np.random.Generator) -> Points:
    """Points on vessels in random order, few enough to map in no time; N×2 px."""
    y, x = np.nonzero(vessels)
    chosen = rng.permutation(len(x))[: 10 * _LANDMARKS]
    return np.stack([x, y], 1)[chosen].astype(np.float64)
