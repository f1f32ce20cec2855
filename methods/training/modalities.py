"""Unpaired images of two modalities, which tell themselves apart by their vessels' polarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from imedbench.core import polarity
from imedbench.core.errors import BadInput
from imedbench.core.field_of_view import field_of_view
from imedbench.methods.training.vessel_folders import VesselImage, list_images, read_colour
from imedbench.methods.transfer import FUNDUS_REACH

_MARGIN = 0.24  # of the longer side, twice the distance that crops keep from an aperture's edge


@dataclass(frozen=True, eq=False)
class Source:
    """The images of one modality in one folder.

    Args:
        zoom: their magnification.
        images: of which the planes are what a generator reads, scaled to [0, 1].
    """

    zoom: float
    images: Sequence[VesselImage]


def read_modalities(
    data: Sequence[Path], zooms: Sequence[float]
) -> tuple[list[Source], list[Source]]:
    """Colour fundus and OCTA of the folders; which is which is told by the vessels' polarity.

    Args:
        data: pair sets or image folders, see `list_images`.
        zooms: magnification of each; a single one is for all.

    Returns:
        Colour fundus sources, OCTA sources.

    Raises:
        BadInput: when zooms do not fit the folders, or all images are of one modality.
    """
    if len(zooms) not in (1, len(data)):
        raise BadInput(f"zooms: {len(zooms)} given for {len(data)} data folders; give one for each")
    cf, octa = [], []
    for index, root in enumerate(data):
        zoom = zooms[index % len(zooms)]
        dark: list[VesselImage] = []
        bright: list[VesselImage] = []
        for path in list_images(root, "train"):
            image, is_dark = _read(path)
            (dark if is_dark else bright).append(image)
        cf += [Source(zoom, dark)] if dark else []
        octa += [Source(zoom, bright)] if bright else []
    if not cf or not octa:
        raise BadInput(f"{data[0]}: only one modality found; give colour fundus and OCTA images")
    return cf, octa


def _read(path: Path) -> tuple[VesselImage, bool]:
    """An image as a generator reads it, and whether it is colour fundus."""
    pixels = read_colour(path)
    fov = field_of_view(pixels)
    green = np.ascontiguousarray(pixels[..., 1])
    dark = polarity.has_dark_vessels(green, fov)
    plane = (
        polarity.flatten(green, fov, reach=FUNDUS_REACH) if dark else polarity.stretch(green, fov)
    )
    # Crops are centred here: what lies outside an aperture must not pass for a look of the retina.
    margin = np.ones((round(_MARGIN * max(fov.shape)),) * 2, np.uint8)
    inner = cv2.erode(fov.astype(np.uint8), margin) > 0
    return VesselImage(path.stem, plane, inner if inner.any() else fov, np.zeros_like(fov)), dark
