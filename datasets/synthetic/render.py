"""One image of an eye in any modality, with its masks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from imedbench.core.arrays import Mask, Pixels
from imedbench.datasets.synthetic.fundus import Fundus
from imedbench.datasets.synthetic.render_cf import CfLook, render_cf
from imedbench.datasets.synthetic.render_fa import FaLook, render_fa
from imedbench.datasets.synthetic.render_octa import OctaLook, render_octa, render_octa_like

Modality = Literal["cf", "octa", "octa-like", "fa", "ir"]

WIDE_MM = 9.0
"""A photograph of a wider field than this is in colour and has a round aperture."""


@dataclass(frozen=True, eq=False)
class Rendering:
    """An image and where it shows anything.

    Args:
        pixels: uint8, H×W or H×W×3 RGB.
        fov: bool H×W, False on a black rim.
    """

    pixels: Pixels
    fov: Mask


def render(
    fundus: Fundus, modality: Modality, rng: np.random.Generator, *, logo: bool = False
) -> Rendering:
    """Return an image with a look drawn at random.

    Args:
        fundus: eye and camera.
        modality: ``cf``: in colour and round when the field is wide, else a grey crop;
            ``octa-like``: what an image translator makes of that photograph.
        rng: for the look and everything else that is not anatomy.
        logo: whether an OCTA device prints its thumbnail.
    """
    size = fundus.view.size
    wide = fundus.view.mm_per_px * size > WIDE_MM
    if modality == "fa":
        return Rendering(*render_fa(fundus, FaLook.random(rng), rng, wide=wide))
    everywhere = np.ones((size, size), np.bool_)
    if modality == "octa":
        look = OctaLook.random(rng, logo=logo)
        return Rendering(render_octa(fundus, look, rng), everywhere)
    if modality == "ir":
        infrared = replace(CfLook.macula_crop(rng), macula=0.04, sheen=0.0, noise=0.02)
        return Rendering(render_cf(fundus, infrared, rng, wide=False).pixels, everywhere)
    look_cf = CfLook.photograph(rng) if wide else CfLook.macula_crop(rng)
    photo = render_cf(fundus, look_cf, rng, wide=wide)
    if modality == "cf":
        return Rendering(photo.pixels, photo.fov)
    translated = render_octa_like(fundus.eye, fundus.view, photo.visible, rng)
    return Rendering(np.where(photo.fov, translated, 0).astype(np.uint8), photo.fov)
