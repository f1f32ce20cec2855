"""Show a normalised view as a worse or a different device would."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Chances:
    """How likely each change is. Ranges are set by eye, none by a registration error.

    Args:
        gain: contrast from ×0.6 to ×1.5.
        faint: contrast down to ×0.3 under noise, levelled up again.
        blur: of up to 1.3 px.
        patchy: contrast that changes over the view.
        noise: white or in grains.
        other: another eye's vessels in part of the view.
        cut: an empty rectangle.
        aperture: a round field of view.
        lines: bright or dark rows, as eye movements leave in a scan.
    """

    gain: float = 0.7
    faint: float = 0.15
    blur: float = 0.5
    patchy: float = 0.35
    noise: float = 0.6
    other: float = 0.25
    cut: float = 0.2
    aperture: float = 0.15
    lines: float = 0.1


def restyle(view: Plane, other: Plane, chances: Chances, rng: np.random.Generator) -> Plane:
    """Return the view changed at random.

    Args:
        view: float32 S×S in [0, 1], ground at 0.5.
        other: another eye's view, likewise.
        chances: of each change.
        rng: drawn from in a fixed order.

    Returns:
        float32 S×S about 0, what is outside the field of view at 0.
    """
    plane = view - np.float32(0.5)
    if rng.random() < chances.other:
        share = np.clip(_smooth_field(len(plane), 5, rng), 0, 1) * np.float32(rng.uniform(0.2, 0.8))
        plane = plane + share * (other - np.float32(0.5))
    if rng.random() < chances.blur:
        plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), rng.uniform(0.4, 1.3)), np.float32)
    if rng.random() < chances.patchy:
        field = _smooth_field(len(plane), int(rng.integers(3, 12)), rng)
        plane = plane * np.clip(0.5 * field + np.float32(rng.uniform(0.7, 1.5)), 0.2, 1.5)
    if rng.random() < chances.faint:
        spread = float(plane.std()) + 1e-3
        plane = plane * np.float32(rng.uniform(0.3, 0.8)) + _noise(len(plane), 0.7 * spread, rng)
        plane = plane * np.float32(spread / (float(plane.std()) + 1e-3))
    elif rng.random() < chances.noise:
        plane = plane + _noise(len(plane), rng.uniform(0.02, 0.15), rng)
    if rng.random() < chances.gain:
        plane = plane * np.float32(rng.uniform(0.6, 1.5))
    if rng.random() < chances.lines:
        rows = np.zeros(len(plane), np.float32)
        rows[rng.integers(0, len(rows), rng.integers(1, 5))] = rng.uniform(-0.4, 0.4)
        plane = plane + (rows if rng.random() < 0.5 else rows[:, None])
    return np.clip(_mask(plane, chances, rng), -0.5, 0.5).astype(np.float32)


def _mask(plane: Plane, chances: Chances, rng: np.random.Generator) -> Plane:
    size = len(plane)
    if rng.random() < chances.cut:
        x, y = rng.integers(0, size, 2)
        width, height = rng.integers(size // 12, size // 2, 2)
        plane[y : y + height, x : x + width] = 0
    if rng.random() < chances.aperture:
        inside = np.zeros((size, size), np.uint8)
        centre = tuple(int(v) for v in rng.uniform(0.4, 0.6, 2) * size)
        cv2.circle(inside, centre, int(rng.uniform(0.36, 0.6) * size), 1, -1)
        plane = plane * inside
    return plane


def _noise(size: int, spread: float, rng: np.random.Generator) -> Plane:
    """Noise of one standard deviation, white or in grains of up to 2 px."""
    white = rng.standard_normal((size, size), np.float32)
    if rng.random() < 0.5:
        return white * np.float32(spread)
    grain = cv2.GaussianBlur(white, (0, 0), rng.uniform(0.5, 2.0))
    return np.asarray(grain, np.float32) * np.float32(spread / float(grain.std()))


def _smooth_field(size: int, cells: int, rng: np.random.Generator) -> Plane:
    coarse = rng.standard_normal((cells, cells), np.float32)
    fine = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine, np.float32)
