"""Synthetic eyes rendered once, each as several devices show it, for trainings to draw from.

Growing and drawing an eye takes most of a second, as long as a training step. They are therefore
kept in a folder, one file an eye, made ahead of a training by ``imedbench data render-eyes``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.polarity import normalise
from imedbench.core.progress import NullProgress, Progress
from imedbench.datasets.synthetic.fundus import Fundus
from imedbench.datasets.synthetic.pairs import MASK_DIAMETER_MM
from imedbench.datasets.synthetic.randomness import derived_seed, stream
from imedbench.datasets.synthetic.render import Modality, render
from imedbench.datasets.synthetic.tree import make_eye
from imedbench.datasets.synthetic.view import View

MODALITIES: tuple[Modality, ...] = ("cf", "octa", "fa", "octa-like")
_DRAWN, _KEPT = 512, 384  # px; side of the drawing, and of what is kept of it
_WIDE = 0.3  # share of eyes seen with the optic disc in view
_CLOSE_MM, _WIDE_MM = (3.0, 8.0), (9.0, 14.0)  # width of the field

Planes = dict[str, NDArray[np.uint8]]


def render_eye(number: int, seed: int = 0) -> Planes:
    """One eye through all devices from the same place.

    Args:
        number: of the eye; never an eye of the benchmark set.
        seed: other seeds give other eyes.

    Returns:
        Each of `MODALITIES` with bright vessels on an even ground, and ``vessels``, uint8
        384×384 in 0…255.
    """
    rng = stream(seed, "rendered eye", number)
    wide = rng.random() < _WIDE
    eye = make_eye(derived_seed(seed, "rendered eye", number))
    width = rng.uniform(*(_WIDE_MM if wide else _CLOSE_MM))
    centre = eye.disc * rng.uniform(0.2, 0.6) if wide else rng.normal(0, 0.5, 2)
    view = View.square(_DRAWN, width, centre)
    fundus = Fundus(eye, view, float(rng.choice([0.0, 0.3, 1.0], p=[0.6, 0.25, 0.15])))
    planes: Planes = {}
    for modality in MODALITIES:
        shown = render(fundus, modality, stream(seed, "rendered eye", number, modality))
        grey = shown.pixels if shown.pixels.ndim == 2 else shown.pixels[..., 1]
        dark = modality == "cf"
        plane = normalise(np.ascontiguousarray(grey), shown.fov, dark_vessels=dark)
        planes[modality] = _small(plane)
    least_mm = max(MASK_DIAMETER_MM, 0.8 * view.mm_per_px)
    return {**planes, "vessels": _small(fundus.vessels(least_mm).astype(np.float32))}


def render_eyes(
    folder: Path, numbers: Sequence[int], seed: int = 0, progress: Progress | None = None
) -> None:
    """Write the eyes that a folder does not hold yet, ``NUMBER.npz`` each."""
    progress = progress or NullProgress()
    folder.mkdir(parents=True, exist_ok=True)
    progress.begin(len(numbers))
    for number in numbers:
        path = folder / f"{number:05d}.npz"
        if not path.exists():
            part = folder / f"{number:05d}.part"
            with part.open("wb") as file:
                np.savez_compressed(file, **render_eye(number, seed))  # type: ignore[arg-type]
            os.replace(part, path)  # an interrupted run leaves no half an eye
        progress.row("drawing", str(number))


def _small(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    small = cv2.resize(plane, (_KEPT, _KEPT), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(small * 255), np.uint8)
