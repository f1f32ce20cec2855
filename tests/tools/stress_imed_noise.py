"""How far the answer of `imed` moves when a little noise is put on its vessel maps.

Run as a script; nothing here is collected by pytest::

    python tests/tools/stress_imed_noise.py --data DATA --method imed --sets cf_octa cf_fa

DATA is as of `hard_cases.py`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from hard_cases import cases
from real_images import Case, Points

from imedbench.core.registry import METHODS
from imedbench.core.types import Image, Transform
from imedbench.methods.imed.method import Imed
from imedbench.methods.vessel_maps import Segmenter, VesselMap
from imedbench.methods.working_images import WorkingImage


class ShakenSegmenter(Segmenter):
    """Vessel maps with noise of so much of their strength."""

    def __init__(self, sigma: float, seed: int) -> None:
        super().__init__("unet", network=Imed.network)
        self.sigma, self.rng = sigma, np.random.default_rng(seed)

    def __call__(self, view: WorkingImage) -> VesselMap:
        """Return the map of an image, with new noise every time."""
        vessels = super().__call__(view)
        noise = 1 + self.sigma * self.rng.standard_normal(vessels.strength.shape)
        return replace(vessels, strength=(vessels.strength * noise).astype(np.float32))


def apart(case: Case, one: Transform | None, other: Transform | None) -> tuple[float, float]:
    """Mean and largest distance (px) of two answers where the images overlap."""
    if one is None or other is None:
        gap = 0.0 if one is other else np.inf
        return gap, gap
    height, width = case.moving.shape[:2]
    y, x = np.mgrid[0 : height - 1 : 9j, 0 : width - 1 : 9j]
    first, second = (t.apply(np.column_stack([x.ravel(), y.ravel()])) for t in (one, other))
    height, width = case.fixed.shape[:2]
    seen = ((first >= 0) & (first <= [width - 1, height - 1])).all(1)
    gaps = np.linalg.norm(first - second, axis=1)[seen]
    return float(gaps.mean()), float(gaps.max())


def moves(name: str, case: Case, sigma: float, seeds: int) -> Points:
    """Mean and largest distance (px) by which each noise moves the answer of a method."""
    fixed, moving = Image(case.fixed), Image(case.moving)
    method = METHODS.create(name)
    assert isinstance(method, Imed)
    method.prepare("cpu")
    plain = method.register(fixed, moving).fixed_from_moving
    found = []
    for seed in range(seeds):
        method._segmenter = ShakenSegmenter(sigma, seed)
        found.append(apart(case, plain, method.register(fixed, moving).fixed_from_moving))
    return np.array(found)


def main() -> None:
    """Print how far the worst pair of each set moves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--method", default="imed")
    parser.add_argument("--sets", nargs="+", default=["cf_octa", "cf_fa"])
    parser.add_argument("--sigma", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n", type=int, default=20)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    for name in options.sets:
        found = cases(name, options.data, "all", options.n, 100)
        worst = [moves(options.method, case, options.sigma, options.seeds).max(0) for case in found]
        mean, most = np.array(worst).max(0)
        over, anywhere = (np.array(worst) > 0.3).sum(0)
        print(
            f"{name:10s} n={len(worst)} moved by more than 0.3 px {over}, at most {mean:.2f};"
            f" somewhere in the overlap {anywhere}, at most {most:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
