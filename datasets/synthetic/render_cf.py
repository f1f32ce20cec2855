"""Colour fundus photographs, and their grey crop round the macula."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Mask, Pixels
from imedbench.datasets.synthetic.drawing import Plane
from imedbench.datasets.synthetic.fundus import Fundus, camera_aperture, illumination
from imedbench.datasets.synthetic.textures import noise

Colour = tuple[float, float, float]

FUNDUS_COLOURS: tuple[Colour, ...] = (
    (0.88, 0.42, 0.22),
    (0.80, 0.38, 0.24),
    (0.92, 0.47, 0.18),
    (0.68, 0.40, 0.24),
    (0.60, 0.29, 0.14),
    (0.86, 0.52, 0.44),
)
DISC_COLOUR: Colour = (1.0, 0.80, 0.45)
BLOOD_ABSORBANCE: Colour = (0.30, 0.78, 0.55)
HAEMORRHAGE_ABSORBANCE: Colour = (0.55, 1.3, 1.0)


@dataclass(frozen=True)
class CfLook:
    """How a camera and a person's pigment make the same fundus look.

    Args:
        colour: of the background, RGB in [0, 1].
        contrast: strength of the vessels.
        macula: depth of the dark macula.
        mottle: unevenness of the pigment.
        tessellation: how much of the choroid shines through.
        fibres: strength of the nerve-fibre stripes.
        sheen: strength of bright reflexes along vessels and round the macula.
        uneven: unevenness of the light.
        vignette: fall of the light towards the rim.
        blur_mm: resolution on the retina.
        noise: standard deviation, of 1.
        grain: strength of the retina's own fine texture.
        jpeg: quality of the compression, 100 for none.
    """

    colour: Colour = FUNDUS_COLOURS[0]
    contrast: float = 1.0
    macula: float = 0.25
    mottle: float = 0.06
    tessellation: float = 0.0
    fibres: float = 0.01
    sheen: float = 0.0
    uneven: float = 0.08
    vignette: float = 0.15
    blur_mm: float = 0.012
    noise: float = 0.012
    grain: float = 0.01
    jpeg: int = 92

    @classmethod
    def photograph(cls, rng: np.random.Generator) -> CfLook:
        """Return a colour photograph of a wide field."""
        base = np.array(FUNDUS_COLOURS[rng.integers(len(FUNDUS_COLOURS))])
        red, green, blue = np.clip(base * rng.normal(1, 0.06, 3), 0.05, 1.0)
        return cls(
            colour=(float(red), float(green), float(blue)),
            contrast=rng.uniform(0.9, 1.35),
            macula=rng.uniform(0.25, 0.45),
            mottle=rng.uniform(0.02, 0.07),
            tessellation=float(rng.choice([0.0, 0.03, 0.08], p=[0.65, 0.25, 0.1])),
            fibres=rng.uniform(0.0, 0.012),
            sheen=float(rng.choice([0.0, 0.08, 0.2], p=[0.6, 0.3, 0.1])),
            uneven=rng.uniform(0.08, 0.2),
            vignette=rng.uniform(0.1, 0.35),
            blur_mm=rng.uniform(0.014, 0.030),
            noise=rng.uniform(0.004, 0.012),
            grain=rng.uniform(0.0, 0.015),
            jpeg=int(rng.integers(80, 98)),
        )

    @classmethod
    def macula_crop(cls, rng: np.random.Generator) -> CfLook:
        """Return a low-contrast grey crop round the macula."""
        grey = rng.uniform(0.55, 0.68)
        return cls(
            colour=(grey, grey, grey),
            contrast=rng.uniform(0.31, 0.60),
            macula=rng.uniform(0.28, 0.5),
            mottle=rng.uniform(0.015, 0.06),
            fibres=rng.uniform(0.004, 0.016),
            sheen=float(rng.choice([0.0, 0.06, 0.25], p=[0.5, 0.35, 0.15])),
            uneven=rng.uniform(0.08, 0.28),
            vignette=rng.uniform(0.0, 0.10),
            blur_mm=rng.uniform(0.014, 0.024),
            noise=rng.uniform(0.002, 0.004),
            grain=rng.uniform(0.016, 0.046),
            jpeg=int(rng.integers(91, 99)),
        )


@dataclass(frozen=True, eq=False)
class CfImage:
    """A rendered photograph.

    Args:
        pixels: uint8, H×W×3 RGB or, for the grey crop, H×W.
        fov: bool H×W, False on the black rim.
        visible: how well each vessel pixel stands out, float32 H×W in [0, 1].
    """

    pixels: Pixels
    fov: Mask
    visible: Plane


def render_cf(fundus: Fundus, look: CfLook, rng: np.random.Generator, *, wide: bool) -> CfImage:
    """Return a fundus photograph.

    Args:
        fundus: what is before the camera.
        look: camera and pigment.
        rng: for light and noise.
        wide: a colour photograph with a round aperture; else a grey crop without one.
    """
    size = fundus.view.size
    blur = look.blur_mm / fundus.view.mm_per_px
    blood = cv2.GaussianBlur(fundus.blood, (0, 0), max(blur, 0.45))
    fov = camera_aperture(size, rng) if wide else np.ones((size, size), np.bool_)
    shade = _shade(fundus, look, rng) * illumination(size, rng, look.uneven, look.vignette)
    channels = range(3) if wide else (1,)
    planes = [_channel(fundus, look, shade, blood, c, rng) for c in channels]
    image = np.stack(planes, -1)
    image += look.noise * noise((size, size), 0.6, rng)[..., None]
    image = np.where(fov[..., None], image, 0.015)
    pixels = _compress(np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8), look.jpeg)
    visible = np.clip((look.contrast * blood - 0.015) / 0.09, 0, 1).astype(np.float32)
    return CfImage(pixels if wide else np.ascontiguousarray(pixels[..., 0]), fov, visible)


def _shade(fundus: Fundus, look: CfLook, rng: np.random.Generator) -> Plane:
    """Brightness of the background relative to its mean colour."""
    distance = fundus.from_fovea
    wide, narrow = rng.uniform(0.9, 1.6), rng.uniform(0.28, 0.6)
    dark = 0.5 * np.exp(-((distance / wide) ** 2)) + 0.5 * np.exp(-((distance / narrow) ** 2))
    ground = 1 + look.mottle * fundus.pigment + look.grain * fundus.grain
    if look.tessellation > 0:
        ground += look.tessellation * fundus.choroid
    shade = (1 - look.macula * dark) * ground
    if look.fibres > 0:
        shade += look.fibres * fundus.nerve_fibres()
    if look.sheen > 0:
        shade += look.sheen * _sheen(fundus, rng)
    if rng.random() < 0.5:
        shade += _foveal_reflex(fundus, rng)
    result: Plane = shade.astype(np.float32)
    return result


def _foveal_reflex(fundus: Fundus, rng: np.random.Generator) -> Plane:
    """The small bright ring or crescent in the middle of a young fovea."""
    grid = fundus.view.grid_mm
    ring = np.exp(-(((fundus.from_fovea - rng.uniform(0.08, 0.16)) / 0.018) ** 2))
    side = rng.uniform(0, 2 * np.pi)
    towards = np.cos(side) * grid[..., 0] + np.sin(side) * grid[..., 1]
    crescent = np.clip(0.4 + towards / 0.15, 0, 1)
    plane: Plane = rng.uniform(0.1, 0.35) * ring * crescent
    return plane


def _sheen(fundus: Fundus, rng: np.random.Generator) -> Plane:
    """Reflexes of a young retina: a ring round the macula, patches along the vessels."""
    ring = np.exp(-(((fundus.from_fovea - rng.uniform(1.3, 1.7)) / 0.12) ** 2))
    patchy = np.clip(fundus.pigment + 0.4, 0, 1)
    along = cv2.GaussianBlur(fundus.blood, (0, 0), 0.12 / fundus.view.mm_per_px)
    sheen: Plane = (0.6 * ring + 1.6 * along) * patchy
    return sheen


def _channel(
    fundus: Fundus,
    look: CfLook,
    shade: Plane,
    blood: Plane,
    channel: int,
    rng: np.random.Generator,
) -> Plane:
    """One colour channel of the clean image, in [0, 1]."""
    base = look.colour[channel] * shade
    rim = 0.65 * DISC_COLOUR[channel] + 0.35 * look.colour[channel]
    base += 0.9 * fundus.disc * (rim - base)
    base += fundus.disc * fundus.cup * (DISC_COLOUR[channel] - base)
    if fundus.lesion_load > 0:
        base += 0.3 * fundus.lesions("drusen") * (DISC_COLOUR[channel] - base)
        base += 0.8 * fundus.lesions("exudates") * (DISC_COLOUR[channel] - base)
        base *= np.exp(
            -HAEMORRHAGE_ABSORBANCE[channel] * look.contrast * fundus.lesions("haemorrhages")
        )
    base *= np.exp(-BLOOD_ABSORBANCE[channel] * look.contrast * blood)
    plane: Plane = base + 0.07 * look.contrast * look.colour[channel] * fundus.reflex
    return plane


def _compress(pixels: NDArray[np.uint8], quality: int) -> Pixels:
    """What JPEG makes of an image."""
    if quality >= 100:
        return pixels
    mode = cv2.IMREAD_UNCHANGED
    coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    plain = cv2.imdecode(coded, mode)
    plain = plain[..., None] if plain.ndim == 2 else plain[..., ::-1]
    return np.ascontiguousarray(plain).astype(np.uint8)
