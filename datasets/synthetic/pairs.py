"""Two images of one eye with everything known about how they fit together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from imedbench.core.arrays import Mask, Pixels, Points
from imedbench.core.types import GroundTruth, Image, ImagePair
from imedbench.datasets.synthetic.fundus import Fundus
from imedbench.datasets.synthetic.randomness import stream
from imedbench.datasets.synthetic.render import Modality, Rendering, render
from imedbench.datasets.synthetic.tree import Eye, make_eye
from imedbench.datasets.synthetic.view import View
from imedbench.datasets.synthetic.warps import GEOMETRIC, Level, Stress, Warp, make_warp

VERSION = "1"
"""Raise it whenever the same seed gives other pixels or another truth."""

MASK_DIAMETER_MM = 0.022
"""Thinner vessels are left out of the reference masks, as annotators leave them out."""

MIN_LANDMARKS, MAX_LANDMARKS = 20, 40


@dataclass(frozen=True, eq=False)
class Views:
    """The two cameras of a pair and the movement between their images."""

    fixed: View
    moving: View
    warp: Warp


def make_pair(
    seed: int,
    level: Level = "imed",
    *,
    fixed_modality: Modality = "cf",
    moving_modality: Modality = "octa",
    size: int = 512,
    stress: Stress | None = None,
) -> ImagePair:
    """Return a pair of images with exact ground truth.

    Args:
        seed: the same arguments give the same bytes everywhere.
        level: ``easy``, ``imed``, ``hard`` or ``fields``.
        fixed_modality: of the fixed image.
        moving_modality: of the moving image.
        size: width and height of both images, px.
        stress: one factor set to a value.

    Returns:
        The pair, with landmarks where vessels fork and vessel masks in both images. The group is
        the eye.

    Example:
        >>> pair = make_pair(1, "easy", size=64)
        >>> pair.group, pair.fixed.modality, pair.moving.size
        ('eye-1', 'cf', (64, 64))
    """
    eye = make_eye(seed)
    views = _make_views(eye, level, size, stream(seed, "geometry", level), stress)
    rng = stream(seed, "health")
    load = float(rng.choice([0.0, 0.3, 1.0], p=[0.7, 0.2, 0.1]))
    if stress is not None and stress.kind == "lesions":
        load = stress.value
    least_mm = max(MASK_DIAMETER_MM, 0.8 * max(views.fixed.mm_per_px, views.moving.mm_per_px))
    fundi = Fundus(eye, views.fixed, load), Fundus(eye, views.moving, load)
    fixed = _show(fundi[0], fixed_modality, "fixed", seed, level, stress)
    moving = _show(fundi[1], moving_modality, "moving", seed, level, stress)
    fixed_points, moving_points = _landmarks(eye, views, least_mm, fixed, moving)
    return ImagePair(
        pair_id=f"{level}-{seed}",
        fixed=Image(fixed.pixels, _name(fixed_modality)),
        moving=Image(moving.pixels, _name(moving_modality)),
        truth=GroundTruth(
            moving_points=moving_points,
            fixed_points=fixed_points,
            fixed_vessels=fundi[0].vessels(least_mm) & fixed.fov,
            moving_vessels=fundi[1].vessels(least_mm) & moving.fov,
            fixed_from_moving=views.warp.fixed_from_moving,
            spacing_um=1000 * views.fixed.mm_per_px,
        ),
        group=f"eye-{seed}",
    )


def _show(
    fundus: Fundus,
    modality: Modality,
    role: str,
    seed: int,
    level: Level,
    stress: Stress | None,
) -> Rendering:
    """One image of the pair."""
    # A translation starts from the very photograph that the other split shows.
    source = "cf" if modality == "octa-like" else modality
    rng = stream(seed, "render", role, source)
    shown = render(fundus, modality, rng, logo=level == "imed")
    return replace(shown, pixels=_spoil(shown.pixels, stress, stream(seed, "stress", role)))


def _name(modality: Modality) -> str:
    """What methods are told: they take a translation for the real thing."""
    return "octa" if modality == "octa-like" else modality


def _make_views(
    eye: Eye, level: Level, size: int, rng: np.random.Generator, stress: Stress | None
) -> Views:
    geometric = stress if stress is not None and stress.kind in GEOMETRIC else None
    if level == "fields":
        return _two_fields(eye, size, rng, geometric)
    fixed = View.square(size, rng.uniform(5.7, 6.4), rng.normal(0, 0.12, 2))
    return _moved(fixed, make_warp(level, (size, size), rng, geometric))


def _two_fields(eye: Eye, size: int, rng: np.random.Generator, stress: Stress | None) -> Views:
    """A wide photograph with the disc, and a field round the macula without it."""
    width = rng.uniform(12.0, 14.0)
    ratio = rng.uniform(1.5, 2.0)
    fixed = View.square(size, width, eye.disc * rng.uniform(0.3, 0.5))
    away = -np.sign(eye.disc[0]) * rng.uniform(0.4, 1.2)
    narrow = View.square(size, width / ratio, np.array([away, rng.normal(0, 0.4)]))
    # The moving image is first cropped and enlarged, then moved within its own frame.
    local = make_warp("fields", (size, size), rng, stress)
    cropped = narrow.mm_from_px.then(fixed.px_from_mm)
    warp = Warp(
        local.fixed_from_moving.then(cropped), cropped.inverse().then(local.moving_from_fixed)
    )
    return _moved(fixed, warp)


def _moved(fixed: View, warp: Warp) -> Views:
    return Views(fixed, fixed.moved(warp.fixed_from_moving, warp.moving_from_fixed), warp)


def _landmarks(
    eye: Eye, views: Views, least_mm: float, fixed: Rendering, moving: Rendering
) -> tuple[Points, Points]:
    """Forks that both images show, the widest or all wide enough, well spread; fixed, moving px."""
    widest_first = np.argsort(-eye.bifurcation_radius, kind="stable")
    forks, radius = eye.bifurcations[widest_first], eye.bifurcation_radius[widest_first]
    in_fixed = views.fixed.px_from_mm.apply(forks)
    in_moving = views.moving.px_from_mm.apply(forks)
    margin = views.fixed.size / 64
    seen = np.flatnonzero(
        views.fixed.shows(in_fixed, margin) & views.moving.shows(in_moving, margin)
    )
    seen = seen[_at(fixed.fov, in_fixed[seen]) & _at(moving.fov, in_moving[seen])]
    wide_enough = int((2 * radius[seen] >= least_mm).sum())
    seen = seen[: max(wide_enough, MIN_LANDMARKS)]
    chosen = seen[_spread(in_fixed[seen], MAX_LANDMARKS)]
    return in_fixed[chosen], in_moving[chosen]


def _at(mask: Mask, px: Points) -> Mask:
    x, y = np.rint(px).astype(int).T
    values: Mask = mask[y, x]
    return values


def _spread(points: Points, count: int) -> list[int]:
    """Indices of so many points, each as far as possible from those before it."""
    if not len(points):
        return []
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(count, len(points)):
        farthest = int(distance.argmax())
        chosen.append(farthest)
        np.minimum(distance, np.linalg.norm(points - points[farthest], axis=1), out=distance)
    return chosen


def _spoil(pixels: Pixels, stress: Stress | None, rng: np.random.Generator) -> Pixels:
    """Blur or noise on a finished image."""
    if stress is None or stress.value == 0:
        return pixels
    if stress.kind == "blur":
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), stress.value * len(pixels) / 512))
    if stress.kind == "noise":
        noisy = pixels + rng.normal(0, stress.value, pixels.shape)
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return pixels
