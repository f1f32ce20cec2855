"""Real images named by the user, pairs of them, and what can be done to their look."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Case:
    """A pair with the landmarks it is judged by; none for a pair that must be refused.

    `eyes` names whom the images show, the fixed one first.
    """

    name: str
    fixed: Pixels
    moving: Pixels
    moving_points: Points
    fixed_points: Points
    eyes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Eye:
    """One image of an eye."""

    name: str
    pixels: Pixels


# ---- images as they are -------------------------------------------------------------------------


def pairs(folder: Path, subset: str) -> list[Case]:
    """The pairs of a pair set; ``subset`` is train, test or all."""
    out = []
    with (folder / "pairs.csv").open() as file:
        for row in csv.DictReader(file):
            if subset not in ("all", row["split"]):
                continue
            marks = np.loadtxt(folder / row["landmarks"], delimiter=",", skiprows=1)
            fixed, moving = (_read(folder / row[side]) for side in ("fixed", "moving"))
            eyes = (row["pair_id"],)
            out.append(Case(row["pair_id"], fixed, moving, marks[:, :2], marks[:, 2:], eyes))
    return out


def eyes(data: Path, subset: str, names: Sequence[str] = ("drive", "chasedb1")) -> list[Eye]:
    """The images of mask sets; whole fundus images by default."""
    return [
        Eye(f"{name}/{file.stem}", _read(file))
        for name in names
        for file in sorted((data / name / "images" / subset).glob("*.png"))
    ]


def _read(path: Path) -> Pixels:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SystemExit(f"{path}: cannot be read as an image")
    return image if image.ndim == 2 else cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB)


# ---- looks ---------------------------------------------------------------------------------------


def fade(rng: np.random.Generator, image: Pixels, sigma: float) -> Pixels:
    """Take two thirds of the contrast and add noise of so many grey levels."""
    faded = (image - image.mean()) * 0.35 + image.mean() + rng.normal(0, sigma, image.shape)
    return np.clip(faded, 0, 255).astype(np.uint8)


def add_lesions(rng: np.random.Generator, image: Pixels) -> Pixels:
    """Put bright and dark blots on an image."""
    layer = np.zeros(image.shape[:2], np.float32)
    height, width = layer.shape
    for _ in range(rng.integers(12, 30)):
        place = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(4, 26)), int(rng.integers(4, 26)))
        level = float(rng.choice([-70.0, 90.0]))
        cv2.ellipse(layer, place, axes, float(rng.uniform(0, 180)), 0, 360, level, -1)
    layer = cv2.GaussianBlur(layer, (0, 0), 1.5)
    return np.clip(image + (layer if image.ndim == 2 else layer[..., None]), 0, 255).astype(
        np.uint8
    )


def restyle(rng: np.random.Generator, colour: Pixels, look: str) -> Pixels:
    """A fundus image in the look of another modality.

    Args:
        rng: source of chance.
        colour: uint8 H×W×3 fundus image.
        look: ``cf``, ``fa`` (bright vessels), ``faf`` (soft, dark vessels) or ``octa``
            (bright vessels, speckle and capillary texture, no background).
    """
    if look == "cf":
        return colour
    green = colour[..., 1].astype(np.float32)
    seen = cv2.erode((colour.max(2) > 20).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    share = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), 12) + 1e-3
    ground = cv2.GaussianBlur(green * seen, (0, 0), 12) / share
    detail = (green - ground) * seen
    shape = green.shape
    noise = cv2.GaussianBlur(rng.normal(0, 1, shape).astype(np.float32), (0, 0), 0.8)
    if look == "fa":
        out = 90 + 25 * rng.normal() - 2.0 * detail + 6 * noise + 20 * _clouds(rng, shape)
    elif look == "faf":
        soft = cv2.GaussianBlur(detail, (0, 0), 1.2)
        out = 110 + 0.8 * soft + 6 * noise + 25 * _clouds(rng, shape)
    else:
        capillaries = np.abs(cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), 1.5)) * 3
        out = 60 * np.exp(-np.minimum(capillaries, 3).astype(np.float32)) + 25
        out = (out + np.maximum(-4 * detail, -20)) * (1 + 0.6 * noise)
    return (np.clip(out, 0, 255) * seen).astype(np.uint8)


def _clouds(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    small = rng.normal(0, 1, (6, 6)).astype(np.float32)
    return np.asarray(cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)
