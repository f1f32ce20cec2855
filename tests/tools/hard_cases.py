"""Hard pairs made of real images: turned, cropped, degraded, of other eyes.

DATA holds the folders ``cf_octa``, ``cf_fa`` (pair sets) and ``drive``, ``chasedb1``,
``octa500_3m`` (mask sets).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from real_images import (
    Case,
    Eye,
    Pixels,
    Points,
    add_lesions,
    eyes,
    fade,
    pairs,
    restyle,
)

from imedbench.datasets.synthetic.pairs import make_pair
from imedbench.datasets.synthetic.warps import Level

# ---- geometry -----------------------------------------------------------------------------------


def random_warp(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    rotation: float,
    zoom: float,
    shift: tuple[float, float],
    bend: float = 0.04,
) -> Points:
    """A homography about the middle of an image.

    Args:
        rng: source of chance.
        shape: of the image.
        rotation: degrees either way.
        zoom: largest ratio either way.
        shift: least and largest length, as a share of the shorter side.
        bend: size of stretch and shear.
    """
    height, width = shape[:2]
    angle = np.deg2rad(rng.uniform(-rotation, rotation))
    scale = zoom ** rng.uniform(-1, 1)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch, shear = rng.uniform(-bend, bend, 2)
    linear = turn @ np.array([[1 + stretch, shear], [shear, 1 - stretch]])
    way = rng.uniform(0, 2 * np.pi)
    move = rng.uniform(*shift) * min(height, width) * np.array([np.cos(way), np.sin(way)])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[2, :2] = rng.uniform(-bend, bend, 2) / 4 / max(height, width)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    to, back = np.eye(3), np.eye(3)
    to[:2, 2], back[:2, 2] = -middle, middle + move
    return back @ matrix @ to


def project(matrix: Points, points: Points) -> Points:
    """Map N×2 points."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return mapped[:, :2] / mapped[:, 2:]


def move_moving(case: Case, warp: Points, name: str, size: tuple[int, int] | None = None) -> Case:
    """The case with its moving image seen through a homography; landmarks that leave are dropped.

    Raises:
        LookupError: when fewer than 8 landmarks stay.
    """
    height, width = case.moving.shape[:2]
    size = size or (width, height)
    image = cv2.warpPerspective(case.moving, warp, size, flags=cv2.INTER_LINEAR)
    points = project(warp, case.moving_points)
    kept = (points >= 0).all(1) & (points <= np.array(size) - 1).all(1)
    if kept.sum() < 8:
        raise LookupError(name)
    fixed_points = case.fixed_points[kept]
    return replace(
        case,
        name=f"{case.name}/{name}",
        moving=image,
        moving_points=points[kept],
        fixed_points=fixed_points,
    )


# ---- sets ---------------------------------------------------------------------------------------


def warps(rng: np.random.Generator, base: list[Case], i: int) -> Case:
    """Rotation to ±180°, zoom to 2, shift to 40 %, one of them or all at once."""
    kinds = {
        "rotation": (180.0, 1.1, (0.0, 0.1)),
        "zoom": (15.0, 2.0, (0.0, 0.1)),
        "shift": (15.0, 1.1, (0.3, 0.4)),
        "all": (180.0, 2.0, (0.0, 0.4)),
    }
    kind = list(kinds)[i % 4]
    case = base[(i // 4) % len(base)]
    rotation, zoom, shift = kinds[kind]
    return move_moving(case, random_warp(rng, case.moving.shape, rotation, zoom, shift), kind)


def quarter(rng: np.random.Generator, base: list[Case], i: int) -> Case:
    """A 256² window of the moving image, rotated to ±30°."""
    case = base[i % len(base)]
    warp = random_warp(rng, case.moving.shape, 30.0, 1.33, (0.0, 0.15))
    height, width = case.moving.shape[:2]
    window = np.eye(3)
    window[:2, 2] = -rng.uniform(0, [width - 256, height - 256])
    return move_moving(case, window @ warp, "quarter", (256, 256))


def degraded(rng: np.random.Generator, base: list[Case], i: int) -> Case:
    """The fixed image cropped, faded, blurred or with lesions; the moving one warped."""
    case = base[(i // 4) % len(base)]
    kind = ["crop", "faded", "blurred", "lesions"][i % 4]
    warp = random_warp(rng, case.moving.shape, 30.0, 1.33, (0.0, 0.15))
    case = move_moving(case, warp, kind)
    if kind == "crop":
        return _crop_fixed(rng, case)
    change: dict[str, Callable[[np.random.Generator, Pixels], Pixels]] = {
        "faded": lambda rng, image: fade(rng, image, 6),
        "blurred": lambda _, image: np.asarray(cv2.GaussianBlur(image, (0, 0), 4), np.uint8),
        "lesions": add_lesions,
    }
    return replace(case, fixed=change[kind](rng, case.fixed))


def _crop_fixed(rng: np.random.Generator, case: Case) -> Case:
    height, width = case.fixed.shape[:2]
    x, y = rng.integers(0, [width - 256, height - 256])
    points = case.fixed_points - [x, y]
    kept = ((points >= 0) & (points <= 255)).all(1)
    if kept.sum() < 8:
        raise LookupError(case.name)
    window = case.fixed[y : y + 256, x : x + 256].copy()
    return replace(
        case, fixed=window, moving_points=case.moving_points[kept], fixed_points=points[kept]
    )


def faded(rng: np.random.Generator, base: list[Case], i: int) -> Case:
    """As `warps`, with a fixed image of a third of the contrast under strong noise."""
    case = warps(rng, base, i)
    return replace(case, fixed=fade(rng, case.fixed, 8))


def wide(rng: np.random.Generator, base: list[Case], i: int) -> Case:
    """Rotation to ±180°, zoom to 2 and shift to 30 %, all at once."""
    case = base[i % len(base)]
    return move_moving(case, random_warp(rng, case.moving.shape, 180, 2.0, (0.0, 0.3)), "wide")


def wide_faded(rng: np.random.Generator, base: list[Case], i: int) -> Case:
    """As `wide`, with a fixed image of a third of the contrast under strong noise."""
    case = wide(rng, base, i)
    return replace(case, fixed=fade(rng, case.fixed, 8))


def wide_pairs(data: Path, subset: str) -> list[Case]:
    """The pairs of cf_fa; for training, which has none, fundus images and angiograms of them."""
    if subset != "train":
        return pairs(data / "cf_fa", "all")
    rng = np.random.default_rng(0)
    out = []
    for k, eye in enumerate(eyes(data, subset)):
        height, width = eye.pixels.shape[:2]
        y, x = np.mgrid[12:height:24, 12:width:24]
        marks = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
        seen = eye.pixels.max(2)[y, x].ravel() > 20
        shown = restyle(rng, eye.pixels, ("fa", "faf", "fa", "octa")[k % 4])
        out.append(Case(eye.name, eye.pixels, shown, marks[seen], marks[seen], (eye.name,)))
    return out


def two_fields(rng: np.random.Generator, base: list[Eye], i: int) -> Case:
    """One eye in two fields that share 25–50 % of the smaller, each with a look of its own."""
    name, eye = base[i % len(base)].name, base[i % len(base)].pixels
    diameter = min(eye.shape[:2]) * 0.94
    middle = np.array([eye.shape[1], eye.shape[0]]) / 2
    for _ in range(1000):
        sides = diameter * rng.uniform(0.45, 0.7, 2)
        zooms = np.array([1.0, 2 ** rng.uniform(-1, 1)]) * rng.uniform(0.7, 1.0)
        zooms /= max(1.0, zooms.max() / 1.3)
        centres = middle + rng.uniform(-0.33, 0.33, (2, 2)) * diameter
        angles = np.deg2rad(rng.uniform(-15, 15, 2))
        views = [
            _window(c, s, a, z) for c, s, a, z in zip(centres, sides, angles, zooms, strict=True)
        ]
        sizes = [round(s * z) for s, z in zip(sides, zooms, strict=True)]
        shared = _shared(views, sizes, middle, diameter)
        if 0.25 <= shared[0] <= 0.5 and len(shared[1]) >= 12 and min(sizes) >= 180:
            break
    else:
        raise LookupError("no two fields with that overlap")
    looks = rng.permutation(["cf", "fa", "faf", "octa"])[:2]
    images = [
        restyle(rng, cv2.warpPerspective(eye, v, (n, n), flags=cv2.INTER_AREA), str(look))
        for v, n, look in zip(views, sizes, looks, strict=True)
    ]
    marks = [project(view, shared[1]) for view in views]
    return Case(f"fields/{looks[0]}-{looks[1]}", *images, marks[1], marks[0], (name,))


def _window(centre: Points, side: float, angle: float, zoom: float) -> Points:
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    half = (side * zoom - 1) / 2
    return np.vstack([np.column_stack([linear, half - linear @ centre]), [0, 0, 1]])


def _shared(
    views: list[Points], sizes: list[int], middle: Points, diameter: float
) -> tuple[float, Points]:
    """Overlap as a share of the smaller field, and landmarks in it (pixels of the eye)."""
    y, x = np.mgrid[0 : 2 * middle[1] : 12, 0 : 2 * middle[0] : 12]
    grid = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
    grid = grid[np.linalg.norm(grid - middle, axis=1) < diameter / 2]
    inside = [
        ((project(v, grid) >= 0) & (project(v, grid) <= n - 1)).all(1)
        for v, n in zip(views, sizes, strict=True)
    ]
    both = inside[0] & inside[1]
    return both.sum() / max(1, min(inside[0].sum(), inside[1].sum())), grid[both]


_NONE = np.empty((0, 2))  # landmarks of a pair that must be refused


def unrelated(rng: np.random.Generator, base: list[Case], i: int) -> Case:
    """The fixed image of one eye and the moving image of another."""
    one, other = (base[k] for k in rng.choice(len(base), 2, replace=False))
    return _strange(one.name, one.fixed, other.name, other.moving)


def unrelated_eyes(rng: np.random.Generator, base: list[Eye], i: int) -> Case:
    """Whole fundus images of two eyes, one restyled."""
    one, other = (base[k] for k in rng.choice(len(base), 2, replace=False))
    look = str(rng.choice(["cf", "fa", "faf", "octa"]))
    warp = random_warp(rng, other.pixels.shape, 30.0, 1.5, (0.0, 0.2))
    moved = cv2.warpPerspective(other.pixels, warp, other.pixels.shape[1::-1])
    return _strange(one.name, one.pixels, other.name, restyle(rng, moved, look))


def strangers(rng: np.random.Generator, base: list[list[Eye]], i: int) -> Case:
    """Any image of one eye and any of another, each whole or only a window of it, one turned."""
    while True:
        kinds = rng.integers(len(base), size=2)
        one, other = (base[k][rng.integers(len(base[k]))] for k in kinds)
        if one.name != other.name:
            break
    fixed, moving = (_any_look(rng, each.pixels) for each in (one, other))
    if i % 2:
        fixed, moving = (_any_window(rng, image) for image in (fixed, moving))
    moved = cv2.warpPerspective(
        moving, random_warp(rng, moving.shape, 180.0, 1.5, (0.0, 0.1)), moving.shape[1::-1]
    )
    return _strange(one.name, fixed, other.name, moved)


def _strange(one: str, fixed: Pixels, other: str, moving: Pixels) -> Case:
    return Case(f"{one}≠{other}", fixed, moving, _NONE, _NONE, (one, other))


def _any_look(rng: np.random.Generator, image: Pixels) -> Pixels:
    """Colour in some look; what is grey already stays."""
    if image.ndim == 2:
        return image
    return restyle(rng, image, str(rng.choice(["cf", "fa", "faf", "octa"])))


def _any_window(rng: np.random.Generator, image: Pixels) -> Pixels:
    sides = np.array(image.shape[:2])
    size = np.maximum(sides * rng.uniform(0.4, 0.8), 200).astype(int).clip(max=sides)
    y, x = rng.integers(0, sides - size + 1)
    return image[y : y + size[0], x : x + size[1]].copy()


def everyone(data: Path, subset: str) -> list[list[Eye]]:
    """Real images of every kind: both of CF–OCTA, colour fundus, OCTA of another device."""
    real = pairs(data / "cf_octa", subset)
    seen = [Eye(c.name, image) for c in real for image in (c.fixed, c.moving)]
    return [seen, eyes(data, subset), eyes(data, subset, ["octa500_3m"])]


def drawn(rng: np.random.Generator, base: list[Eye], i: int) -> Case:
    """A drawn eye, seen twice, curved, with exact landmarks."""
    seed = int(rng.integers(10_000, 1 << 30))
    kinds = rng.choice(["cf", "fa", "octa"], 2)
    level: Level = "hard" if i % 2 else "fields"
    pair = make_pair(seed, level, fixed_modality=kinds[0], moving_modality=kinds[1])
    marks = pair.truth.moving_points, pair.truth.fixed_points
    return Case(pair.pair_id, pair.fixed.pixels, pair.moving.pixels, *marks, (f"drawn/{seed}",))


REFUSED = ("unrelated", "unrelated_eyes", "strangers")  # whose pairs show two eyes


# ---- by name ------------------------------------------------------------------------------------


def _real_pairs(data: Path, subset: str) -> list[Case]:
    return pairs(data / "cf_octa", subset)


def _real_eyes(data: Path, subset: str) -> list[Eye]:
    return eyes(data, "test" if subset == "all" else subset)


MAKERS: dict[str, tuple[Callable[..., Case], Callable[[Path, str], list[Any]]]] = {
    "warps": (warps, _real_pairs),
    "quarter": (quarter, _real_pairs),
    "degraded": (degraded, _real_pairs),
    "faded": (faded, _real_pairs),
    "wide": (wide, wide_pairs),
    "wide_faded": (wide_faded, wide_pairs),
    "fields": (two_fields, _real_eyes),
    "drawn": (drawn, lambda *_: []),
    "unrelated": (unrelated, _real_pairs),
    "unrelated_eyes": (unrelated_eyes, _real_eyes),
    "strangers": (strangers, everyone),
}


def cases(name: str, data: Path, subset: str, n: int, seed: int) -> Iterator[Case]:
    """The cases of a named set, the same for the same seed."""
    if name in ("cf_octa", "cf_fa"):
        yield from pairs(data / name, subset if name == "cf_octa" else "all")
        return
    make, read = MAKERS[name]
    base = read(data, subset)
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        for _ in range(100):
            try:
                case = make(rng, base, i)
            except LookupError:
                continue
            yield case
            break
