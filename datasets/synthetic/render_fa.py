"""Fluorescein angiography: the dye in the blood shines, in the fovea there is none."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imedbench.core.arrays import Mask, Pixels
from imedbench.datasets.synthetic.drawing import Plane
from imedbench.datasets.synthetic.fundus import Fundus, camera_aperture, illumination
from imedbench.datasets.synthetic.render_octa import capillaries
from imedbench.datasets.synthetic.textures import noise


@dataclass(frozen=True)
class FaLook:
    """How a phase and a camera make the same eye look.

    Args:
        vessel: brightness of a wide vessel, in [0, 1].
        arteries: brightness of arteries relative to veins; above 1 early, below 1 late.
        flush: brightness of the choroid behind.
        mottle: unevenness of that brightness.
        disc: brightness of the optic disc.
        uneven: unevenness of the light.
        blur_mm: resolution on the retina.
        noise: standard deviation, of 1.
    """

    vessel: float = 0.75
    arteries: float = 1.0
    flush: float = 0.28
    mottle: float = 0.12
    disc: float = 0.35
    uneven: float = 0.2
    blur_mm: float = 0.014
    noise: float = 0.03

    @classmethod
    def random(cls, rng: np.random.Generator) -> FaLook:
        """Return a look such as one meets."""
        return cls(
            vessel=rng.uniform(0.45, 0.95),
            arteries=rng.uniform(0.85, 1.15),
            flush=rng.uniform(0.12, 0.36),
            mottle=rng.uniform(0.02, 0.10),
            disc=rng.uniform(0.15, 0.65),
            uneven=rng.uniform(0.08, 0.25),
            blur_mm=rng.uniform(0.012, 0.024),
            noise=rng.uniform(0.012, 0.04),
        )


def render_fa(
    fundus: Fundus, look: FaLook, rng: np.random.Generator, *, wide: bool
) -> tuple[Pixels, Mask]:
    """Return an angiogram and its field of view.

    Args:
        fundus: what is before the camera.
        look: phase of the dye and camera.
        rng: for light and noise.
        wide: whether the image has a round aperture.
    """
    size = fundus.view.size
    fov = camera_aperture(size, rng) if wide else np.ones((size, size), np.bool_)
    image = _fluorescence(fundus, look)
    blur = max(look.blur_mm / fundus.view.mm_per_px, 0.45)
    image = cv2.GaussianBlur(image, (0, 0), blur)
    image *= illumination(size, rng, look.uneven, 0.2)
    image += look.noise * noise((size, size), 0.7, rng) * (0.5 + image)
    image = np.where(fov, image, 0.01)
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8), fov


def _fluorescence(fundus: Fundus, look: FaLook) -> Plane:
    """The clean image, in [0, 1]."""
    distance = fundus.from_fovea
    pigment = 1 - 0.65 * np.exp(-((distance / 0.75) ** 2))
    base = look.flush * pigment * (1 + 2 * look.mottle * fundus.pigment)
    base *= 1 + look.mottle * fundus.grain
    base += fundus.disc * (look.disc - base) * (0.75 + 0.25 * fundus.cup)
    if fundus.view.mm_per_px < 0.02:
        near = np.exp(-((distance / 2.0) ** 2))
        base += 0.12 * near * capillaries(fundus.eye, fundus.view)
    if fundus.lesion_load > 0:
        base += 0.25 * fundus.lesions("drusen") + 0.1 * fundus.lesions("exudates")
    bright = np.where(fundus.arteries, look.arteries, 1.0) * look.vessel
    dye = np.clip(1.6 * fundus.blood, 0, 1) ** 0.8
    base += dye * np.maximum(bright - base, 0)
    if fundus.lesion_load > 0:
        base *= 1 - 0.85 * fundus.lesions("haemorrhages")
    plane: Plane = base.astype(np.float32)
    return plane
