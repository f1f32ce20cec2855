"""One eye: optic disc, fovea and the two vessel trees, in millimetres.

The frame is that of a fundus photograph with its origin at the fovea, x to the right and y down.
The optic disc lies at positive x in a right eye and at negative x in a left eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Points
from imedbench.datasets.synthetic.growth import grow, radius_towards
from imedbench.datasets.synthetic.randomness import stream
from imedbench.datasets.synthetic.vessels import Vessels, bend, to_vessels, wander


@dataclass(frozen=True, eq=False)
class Eye:
    """The anatomy that all images of an eye share.

    Args:
        seed: what it was made from.
        disc: centre of the optic disc, mm.
        disc_radius: mm.
        faz: radius of the foveal avascular zone at equally spaced angles from -π to π, mm.
        vessels: arteries and veins down to precapillaries.
        bifurcations: where vessels fork, N×2 mm.
        bifurcation_radius: radius of the thinner branch there, N mm.
    """

    seed: int
    disc: Points
    disc_radius: float
    faz: NDArray[np.float64]
    vessels: Vessels
    bifurcations: Points
    bifurcation_radius: NDArray[np.float64]

    def faz_radius(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """Radius of the avascular zone in the direction of each position (last axis), mm."""
        return radius_towards(self.faz, xy)


@lru_cache(maxsize=8)
def make_eye(seed: int) -> Eye:
    """Grow an eye.

    Args:
        seed: any non-negative integer; the same seed gives the same eye everywhere.

    Returns:
        The eye, shared between calls with the same seed; do not write into its arrays.
    """
    rng = stream(seed, "anatomy")
    side = 1.0 if rng.random() < 0.5 else -1.0
    disc = np.array([rng.normal(4.45, 0.2), rng.normal(-0.4, 0.25)])
    faz = _faz_outline(rng)
    calibre = rng.uniform(0.9, 1.12)
    waves = wander(rng, tortuosity=float(rng.gamma(6.0, 0.14)))
    arteries = grow(disc, faz, None, stream(seed, "arteries"))
    veins = grow(disc, faz, arteries, stream(seed, "veins"))
    parts = [
        to_vessels(arteries, rng.uniform(0.046, 0.053) * calibre, True),
        to_vessels(veins, rng.uniform(0.057, 0.066) * calibre, False),
    ]
    mirror = np.array([side, 1.0])
    vessels = Vessels(
        np.concatenate([bend(v.start, waves) for v, _, _ in parts]) * mirror,
        np.concatenate([bend(v.end, waves) for v, _, _ in parts]) * mirror,
        np.concatenate([v.radius for v, _, _ in parts]),
        np.concatenate([v.artery for v, _, _ in parts]),
    )
    return Eye(
        seed=seed,
        disc=disc * mirror,
        disc_radius=float(rng.normal(0.88, 0.06)),
        faz=faz if side > 0 else _mirrored(faz),
        vessels=vessels,
        bifurcations=np.concatenate([bend(b, waves) for _, b, _ in parts]) * mirror,
        bifurcation_radius=np.concatenate([r for _, _, r in parts]),
    )


def _mirrored(outline: NDArray[np.float64]) -> NDArray[np.float64]:
    n = len(outline)
    return outline[(n // 2 - np.arange(n)) % n]


def _faz_outline(rng: np.random.Generator) -> NDArray[np.float64]:
    turn = np.linspace(-np.pi, np.pi, 65)[:-1]
    outline = np.full(64, float(np.clip(rng.normal(0.31, 0.06), 0.18, 0.45)))
    for k in range(2, 7):
        outline *= 1 + rng.normal(0, 0.11 / k**0.5) * np.cos(k * turn + rng.uniform(0, 6.3))
    return outline
