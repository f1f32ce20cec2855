"""Random surfaces: clouds, fibres and the capillary mesh.

Large seamless tiles are made once a process and sampled at a place of each eye's own, so that a
texture belongs to the retina and not to the image.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.datasets.synthetic.randomness import stream

Plane = NDArray[np.float32]
Kind = Literal["mesh", "streaks", "clouds", "grain"]

TILE_PX = 1024
_ZERO, _LEVELS_PER_UNIT = 120, 36  # of the 8-bit tiles, which so reach from -3.3 to 3.7


def noise(shape: tuple[int, int], blur_px: float, rng: np.random.Generator) -> Plane:
    """White or blurred noise of mean 0 and standard deviation 1, float32 H×W."""
    plane = rng.standard_normal(shape, np.float32)
    if blur_px > 0:
        plane = cv2.GaussianBlur(plane, (0, 0), blur_px, borderType=cv2.BORDER_REFLECT)
        plane /= plane.std() + 1e-9
    return plane


def clouds(size: int, cells: int, rng: np.random.Generator) -> Plane:
    """Smooth unevenness of about unit size, ``cells`` bumps across an image of size×size px."""
    coarse = rng.standard_normal((cells + 3, cells + 3), np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def sample(
    kind: Kind, grid_mm: NDArray[np.float32], mm_per_texel: float, seed: int, turn: float = 0.0
) -> Plane:
    """Return a texture as seen at given positions of an eye.

    Args:
        kind: which tile.
        grid_mm: H×W×2 positions, mm.
        mm_per_texel: size of a tile pixel, mm.
        seed: of the eye: chooses the part of the tile.
        turn: angle by which the tile is turned, rad.

    Returns:
        float32 H×W, mean 0 and standard deviation 1 (the mesh: in [0, 1]).
    """
    shift = stream(seed, "texture", kind).uniform(0, TILE_PX, 2)
    cos, sin = np.cos(turn) / mm_per_texel, np.sin(turn) / mm_per_texel
    x, y = grid_mm[..., 0], grid_mm[..., 1]
    u = np.float32(cos) * x - np.float32(sin) * y + np.float32(shift[0])
    v = np.float32(sin) * x + np.float32(cos) * y + np.float32(shift[1])
    levels = cv2.remap(_tile(kind), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return (levels.astype(np.float32) - np.float32(_ZERO)) / np.float32(_LEVELS_PER_UNIT)


def mesh_along(grid_mm: NDArray[np.float32], angle: Plane, mm_per_texel: float, seed: int) -> Plane:
    """Return the capillary mesh with its lines along given directions.

    Args:
        grid_mm: H×W×2 positions, mm.
        angle: H×W direction of the lines, rad.
        mm_per_texel: size of a tile pixel, mm.
        seed: of the eye.

    Returns:
        float32 H×W, about in [0, 1].
    """
    mesh = np.zeros(angle.shape, np.float32)
    for k in range(3):
        turn = np.float32(k * np.pi / 3)
        weight = 0.5 + 0.5 * np.cos(2 * (angle - turn))
        turned = sample("mesh", grid_mm, mm_per_texel, seed + k, -float(turn))
        np.maximum(mesh, weight * turned, out=mesh)
    return mesh


@lru_cache
def _tile(kind: Kind) -> NDArray[np.uint8]:
    """A tile in 8 bits, which are read several times faster than floats."""
    levels = _ZERO + _LEVELS_PER_UNIT * _surface(kind, stream(0, "tile", kind))
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _surface(kind: Kind, rng: np.random.Generator) -> Plane:
    if kind == "mesh":
        return _mesh(rng)
    if kind == "streaks":
        return _band(rng, 30.0, stretch=5.0)
    if kind == "clouds":
        return 0.8 * _band(rng, 160.0) + 0.45 * _band(rng, 60.0) + 0.25 * _band(rng, 20.0)
    return _band(rng, 5.0)


def _mesh(rng: np.random.Generator) -> Plane:
    """A network of thin bright lines, longer along x: where random waves cross zero."""
    mesh = np.zeros((TILE_PX, TILE_PX), np.float32)
    for wavelength, stretch in ((36.0, 2.6), (30.0, 1.6)):
        wave = _band(rng, wavelength, width=0.3, stretch=stretch)
        slope = np.hypot(*np.gradient(wave)) + 0.05
        strength = np.clip(0.8 + 0.25 * _band(rng, 40.0), 0.1, 1.2)
        np.maximum(mesh, strength * np.exp(-((np.abs(wave) / slope / 1.5) ** 2)), out=mesh)
    return mesh


def _band(
    rng: np.random.Generator, wavelength: float, width: float = 0.6, stretch: float = 1.0
) -> Plane:
    """Seamless noise whose waves are about so many texels long, optionally longer along x."""
    fx = np.fft.rfftfreq(TILE_PX)[None, :] * stretch
    fy = np.fft.fftfreq(TILE_PX)[:, None]
    frequency = np.hypot(fx, fy) + 1e-9
    gain = np.exp(-((np.log(frequency * wavelength)) ** 2) / (2 * width**2))
    spectrum = np.fft.rfft2(rng.standard_normal((TILE_PX, TILE_PX))) * gain
    plane = np.fft.irfft2(spectrum, (TILE_PX, TILE_PX))
    return (plane / plane.std()).astype(np.float32)
