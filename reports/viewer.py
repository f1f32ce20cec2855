"""The pairs that a page shows, as pictures that go into it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import msgspec
import numpy as np
import pandas as pd

from imedbench.analysis.best import HEADLINE
from imedbench.analysis.run import Run
from imedbench.core.arrays import Pixels, plain
from imedbench.core.errors import BadInput
from imedbench.core.progress import Progress
from imedbench.core.resize import fitted_size, resize, resize_points
from imedbench.core.transforms import Transform
from imedbench.core.transforms.warp import pixel_grid, resample
from imedbench.core.types import Image, ImagePair, Matches
from imedbench.reports.shown import ShownPair, choose_pairs
from imedbench.runs.files import load_matches, load_pictures

MAX_PICTURES = 6000  # drawn for one page: a minute's work
MAX_ORDINARY = 100  # pairs on which nothing went wrong: more cannot be looked through
_TRIED = 3  # pairs drawn to find out how much room one takes
_MATCHES = 150  # lines drawn at most
_SEEN = 6  # pictures of what a method saw, at most
_GRID = 11  # lines of the displacement grid each way
_METRICS_SHOWN = (HEADLINE, "mse")


@dataclass(frozen=True)
class Detail:
    """How finely pictures are kept.

    Args:
        side: px, longer one of fixed and moved images.
        small_side: px, of what a method saw.
        quality: of WebP.
    """

    side: int
    small_side: int
    quality: int


#: The finest at which all pairs fit that went wrong: at the first vessels stay sharp, at the last
#: an image that lies wrong can still be told from one that lies right.
DETAILS = (Detail(480, 240, 72), Detail(352, 176, 60), Detail(240, 120, 45))


@dataclass(frozen=True, eq=False)
class Views:
    """What the pair viewer of a page is given.

    Args:
        drawn: pairs with their pictures, as the page's script reads them.
        undrawn: pairs that went wrong and for which there was no room.
    """

    drawn: list[dict[str, Any]]
    undrawn: list[ShownPair]


def pair_views(
    run: Run, table: pd.DataFrame, room: int, progress: Progress, wanted: Sequence[str] = ()
) -> Views:
    """Draw pairs until the page is full; a pair whose images are gone says so.

    Args:
        run: scored.
        table: of `imedbench.analysis.tables.pair_table`.
        room: characters that all pictures may take together.
        progress: is told of every pair drawn.
        wanted: ids of pairs that are drawn before all others.

    Raises:
        BadInput: when the run has no pair of a wanted id.
    """
    chosen = choose_pairs(table, wanted)
    telling = [pair for pair in chosen if pair.why or pair.pair_id in wanted]
    ordinary = [pair for pair in chosen if not pair.why and pair.pair_id not in wanted]
    drawer = _Drawer(run, table)
    detail = drawer.detail_for(telling or ordinary, room)
    most = max(1, MAX_PICTURES // (2 + table["method"].nunique()))
    queue = [*sorted(telling, key=lambda pair: pair.turn), *ordinary[:MAX_ORDINARY]][:most]
    progress.begin(len(queue))
    drawn: dict[ShownPair, dict[str, Any]] = {}
    for pair in queue:
        view = drawer.view(pair, detail)
        room -= _size(view)
        if room < 0:
            break
        drawn[pair] = view
        progress.row("", pair.pair_id)
    return Views(
        [drawn[pair] for pair in chosen if pair in drawn],
        [pair for pair in telling if pair not in drawn],
    )


class _Drawer:
    """Draws the pairs of a run."""

    def __init__(self, run: Run, table: pd.DataFrame) -> None:
        self._run = run
        self._refs = {(str(ref.split), ref.pair_id): ref for ref in run.store.pairs()}
        self._table = table
        self._places = table.groupby(["split", "pair_id"], sort=False).indices

    def detail_for(self, pairs: Sequence[ShownPair], room: int) -> Detail:
        """Find the finest detail at which all pairs have room; the coarsest where none has."""
        tried = pairs[:: max(1, len(pairs) // _TRIED)][:_TRIED]
        for detail in DETAILS[:-1]:
            sizes = [_size(self.view(pair, detail)) for pair in tried]
            if not tried or float(np.mean(sizes)) * len(pairs) <= room:
                return detail
        return DETAILS[-1]

    def view(self, shown: ShownPair, detail: Detail) -> dict[str, Any]:
        """Draw one pair for the page's script."""
        ref = self._refs[shown.split, shown.pair_id]
        facts: dict[str, Any] = {
            "split": shown.split,
            "id": shown.pair_id,
            "why": shown.why,
            "note": ref.note,
            "modalities": [ref.fixed_modality, ref.moving_modality],
        }
        try:
            pair = self._run.dataset.load(ref)
        except BadInput as error:
            return facts | {"missing": str(error), "methods": []}
        fixed, moving = _shrunk(pair.fixed, detail), _shrunk(pair.moving, detail)
        rows = self._table.iloc[self._places[shown.split, shown.pair_id]].to_dict("records")
        return facts | {
            "size": [fixed.shape[1], fixed.shape[0]],
            "moving_size": [moving.shape[1], moving.shape[0]],
            "fixed": webp(fixed, detail.side, detail.quality),
            "moving": webp(moving, detail.side, detail.quality),
            "methods": [self._method(pair, fixed, moving, row, detail) for row in rows],
        }

    def _method(
        self, pair: ImagePair, fixed: Pixels, moving: Pixels, row: dict[Any, Any], detail: Detail
    ) -> dict[str, Any]:
        view: dict[str, Any] = {
            "name": row["method"],
            "outcome": row["outcome"].replace("_", " "),
            "reason": row["reason"],
            "confidence": row["confidence"],
            "values": {name: row.get(name) for name in _METRICS_SHOWN},
        }
        if row["outcome"] == "ok":
            try:
                transform = self._run.store.transform(row["key"])
            except BadInput as error:
                return plain(view | {"outcome": "no picture", "reason": str(error)})
            seen_so = _moved(pair, fixed, moving, transform)
            view["warped"] = webp(seen_so, detail.side, detail.quality)
            view["grid"] = _grid(transform, pair, fixed)
        folder, key = self._run.folder, row["key"]
        matches = load_matches(folder, key) if key else None
        if matches is not None and len(matches.fixed):
            view["matches"] = _lines(matches, pair, fixed, moving)
        seen = load_pictures(folder, key) if key else {}
        view["seen"] = [
            {
                "name": name.replace("_", " "),
                "image": webp(picture, detail.small_side, detail.quality),
            }
            for name, picture in list(seen.items())[:_SEEN]
        ]
        return plain(view)


def _shrunk(image: Image, detail: Detail) -> Pixels:
    """The image at the size that the page keeps."""
    return resize(image.pixels, fitted_size(image.size, min(detail.side, max(image.size))))


def _size_of(picture: Pixels) -> tuple[int, int]:
    return picture.shape[1], picture.shape[0]


def _moved(pair: ImagePair, fixed: Pixels, moving: Pixels, transform: Transform) -> Pixels:
    """The moving image on the fixed image's grid, computed at the page's size only."""
    points = resize_points(pixel_grid(fixed.shape[:2]), _size_of(fixed), pair.fixed.size)
    there = resize_points(transform.inverse().apply(points), pair.moving.size, _size_of(moving))
    where = there.reshape(*fixed.shape[:2], 2).astype(np.float32)
    return resample(moving, where, "cubic")


def _grid(transform: Transform, pair: ImagePair, fixed: Pixels) -> list[list[list[float]]]:
    """Where the lines of a grid over the moving image end up in the fixed one."""
    height, width = pair.moving.shape
    x, y = np.linspace(0, width - 1, _GRID), np.linspace(0, height - 1, _GRID)
    mesh = np.stack(np.meshgrid(x, y), axis=-1)
    placed = resize_points(transform.apply(mesh.reshape(-1, 2)), pair.fixed.size, _size_of(fixed))
    placed = placed.reshape(mesh.shape)
    placed = np.where(np.isfinite(placed), np.clip(placed, -9999, 9999), -9999).round(1)
    return [line.tolist() for line in (*placed, *placed.swapaxes(0, 1))]


def _lines(matches: Matches, pair: ImagePair, fixed: Pixels, moving: Pixels) -> list[list[float]]:
    order = np.argsort(matches.inliers, kind="stable")
    kept = order[:: max(1, -(-len(order) // _MATCHES))]
    ends = [
        resize_points(matches.fixed[kept], pair.fixed.size, _size_of(fixed)),
        resize_points(matches.moving[kept], pair.moving.size, _size_of(moving)),
    ]
    return np.column_stack([np.hstack(ends).round(1), matches.inliers[kept]]).tolist()


def webp(picture: Pixels, side: int, quality: int) -> str:
    """Encode a picture, shrunk to a side, for the ``src`` of an image."""
    size = _size_of(picture)
    small = resize(picture, fitted_size(size, min(side, max(size))))
    in_order = np.ascontiguousarray(small[..., ::-1] if small.ndim == 3 else small)
    _, data = cv2.imencode(".webp", in_order, [cv2.IMWRITE_WEBP_QUALITY, quality])
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode()


def _size(view: dict[str, Any]) -> int:
    """Characters that a view takes in the page."""
    return len(msgspec.json.encode(view))
