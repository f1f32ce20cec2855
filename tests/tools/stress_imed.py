"""Registration under hard conditions, on real images named by the user.

Run as a script; nothing here is collected by pytest::

    python tests/tools/stress_imed.py --data DATA --method imed --sets warps quarter --n 100

DATA holds the folders ``cf_octa``, ``cf_fa`` (pair sets) and ``drive``, ``chasedb1``,
``octa500_3m`` (mask sets).
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from imedbench.core.registry import METHODS
from imedbench.core.types import Image, Method
from imedbench.datasets.synthetic.pairs import make_pair
from imedbench.datasets.synthetic.warps import Level

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


# ---- stress sets --------------------------------------------------------------------------------


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
        "lesions": _lesions,
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


def fade(rng: np.random.Generator, image: Pixels, sigma: float) -> Pixels:
    """Take two thirds of the contrast and add noise of so many grey levels."""
    faded = (image - image.mean()) * 0.35 + image.mean() + rng.normal(0, sigma, image.shape)
    return np.clip(faded, 0, 255).astype(np.uint8)


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


def _lesions(rng: np.random.Generator, image: Pixels) -> Pixels:
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


# ---- running ------------------------------------------------------------------------------------


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


def judge(method: Method, case: Case) -> dict[str, Any]:
    """One row: error over the landmarks (px), confidence, time (ms)."""
    fixed, moving = Image(case.fixed), Image(case.moving)
    start = time.perf_counter()
    answer = method.register(fixed, moving)
    row: dict[str, Any] = {"case": case.name, "ms": (time.perf_counter() - start) * 1e3}
    row["refused"] = answer.fixed_from_moving is None
    row["confidence"] = answer.confidence
    row["reason"] = answer.reason
    row["tre"] = float("nan")
    if answer.fixed_from_moving is not None and len(case.moving_points):
        mapped = answer.fixed_from_moving.apply(case.moving_points)
        error = np.linalg.norm(mapped - case.fixed_points, axis=1).mean()
        row["tre"] = float(error) if np.isfinite(error) else float("inf")
    row.update(answer.diagnostics.values)
    return row


def summary(name: str, rows: list[dict[str, Any]], related: bool) -> str:
    """One line of figures; a refused pair counts as a miss."""
    n = len(rows)
    refused = sum(r["refused"] for r in rows)
    ms = np.median([r["ms"] for r in rows])
    if not related:
        return f"{name:15s} n={n:3d} refused {refused}/{n} ms {ms:.0f}"
    errors = np.array([np.inf if r["refused"] else r["tre"] for r in rows])
    below = " ".join(f"<{t}: {100 * np.mean(errors < t):5.1f}%" for t in (2, 3, 5, 6))
    good = errors[errors < 20]
    mean = good.mean() if good.size else float("nan")
    wrong = int(sum(errors[np.isfinite(errors)] >= 10))
    return (
        f"{name:15s} n={n:3d} {below} median {np.median(errors):5.2f} mean<20 {mean:.2f}"
        f" refused {refused} accepted>10px {wrong} ms {ms:.0f}"
    )


def main() -> None:
    """Run the sets and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--method", default="imed")
    parser.add_argument("--sets", nargs="+", default=["cf_octa", "warps", "quarter", "degraded"])
    parser.add_argument("--subset", default="train", choices=["train", "test", "all"])
    parser.add_argument("--n", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=Path, help="CSV file for one row a case")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    method: Method = METHODS.create(options.method)
    method.prepare("cpu")
    every = []
    for name in options.sets:
        found = cases(name, options.data, options.subset, options.n, options.seed)
        rows = [{"set": name, **judge(method, case)} for case in found]
        print(summary(name, rows, name not in REFUSED), flush=True)
        every += rows
    if options.rows:
        with options.rows.open("w", newline="") as file:
            names = list(dict.fromkeys(key for row in every for key in row))
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(every)


if __name__ == "__main__":
    main()
