"""Spots of disease: the same in every image of an eye, if not always visible."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Points
from imedbench.datasets.synthetic.randomness import stream

LesionKind = Literal["drusen", "exudates", "haemorrhages"]

_MEAN_COUNT = {"drusen": 30.0, "exudates": 14.0, "haemorrhages": 9.0}
_RADIUS_MM = {"drusen": 0.035, "exudates": 0.045, "haemorrhages": 0.09}
_SPREAD_MM = {"drusen": 1.6, "exudates": 1.4, "haemorrhages": 3.0}
_RAGGED = {"drusen": 0.15, "exudates": 0.3, "haemorrhages": 0.35}


def make_lesions(seed: int, kind: LesionKind, load: float) -> list[Points]:
    """Return the lesions of an eye.

    Args:
        seed: of the eye.
        kind: what they are.
        load: 0 for a healthy eye, 1 for a sick one; the mean number grows with it. The lesions
            of a smaller load are among those of a larger one.

    Returns:
        Their outlines, each N×2 mm.
    """
    rng = stream(seed, "lesions", kind)
    most = int(rng.poisson(3 * _MEAN_COUNT[kind]))
    focus = rng.normal(0, 1.2, 2)
    places = focus + rng.standard_t(3, (most, 2)) * _SPREAD_MM[kind]
    radii = _RADIUS_MM[kind] * rng.lognormal(0, 0.5, most)
    shown = round(most * min(load / 3, 1.0))
    return [_blob(places[n], radii[n], _RAGGED[kind], rng) for n in range(shown)]


def _blob(
    centre: NDArray[np.float64], radius: float, ragged: float, rng: np.random.Generator
) -> Points:
    turn = np.linspace(0, 2 * np.pi, 33)[:-1]
    outline = np.full(32, radius)
    for k in range(2, 6):
        outline *= 1 + ragged * rng.normal(0, 1 / k**0.5) * np.cos(k * turn + rng.uniform(0, 6.3))
    stretch = np.array([1.0, rng.uniform(0.6, 1.0)])
    points = outline[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1) * stretch
    angle = rng.uniform(0, np.pi)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    result: Points = centre + points @ turned.T
    return result
