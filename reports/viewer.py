"""The pairs that a page shows, as pictures that go into it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd

from imedbench.analysis.best import HEADLINE
from imedbench.analysis.risk import WRONG_PX, silently_wrong
from imedbench.analysis.run import Run
from imedbench.analysis.tables import penalised
from imedbench.core.arrays import Pixels, plain
from imedbench.core.errors import BadInput
from imedbench.core.progress import Progress
from imedbench.core.resize import fitted_size, resize
from imedbench.core.transforms import Transform
from imedbench.core.types import ImagePair, Matches
from imedbench.reports.pictures import colour, warped
from imedbench.runs.files import load_matches, load_pictures

SIDE = 480  # px of a picture in the page: wide enough to see vessels
_SMALL_SIDE = 240  # of what a method saw
BUDGET = 12_000_000  # characters of pictures, so that a page stays below 20 MB with its script
MAX_PAIRS = 200  # more cannot be looked through
_QUALITY = 72  # WebP: vessels stay sharp at about 15 kB a picture
_MATCHES = 150  # lines drawn at most
_GRID = 11  # lines of the displacement grid each way
WRONG_NOTE = f"answered, but off by more than {WRONG_PX:g} px"
_METRICS_SHOWN = (HEADLINE, "mse")


@dataclass(frozen=True)
class ShownPair:
    """A pair to be shown, and why.

    Args:
        split: of the pair.
        pair_id: of the pair.
        why: such as ``worst`` or ``silently wrong by sift``.
    """

    split: str
    pair_id: str
    why: str


def choose_pairs(table: pd.DataFrame) -> list[ShownPair]:
    """Choose pairs in the order of their worth: typical ones, failed, silently wrong, the rest.

    Best, median and worst are by the mean over all methods, so that they are the same pairs for
    every one of them.
    """
    chosen: list[ShownPair] = []
    for split, rows in table.groupby("split", sort=False):
        notes = _notes(rows)
        typical = _typical(rows)
        order = [*typical, *(p for p in notes if p not in typical)]
        order += [p for p in rows["pair_id"].unique() if p not in set(order)]
        for pair_id in order:
            why = "; ".join(filter(None, [typical.get(pair_id, ""), notes.get(pair_id, "")]))
            chosen.append(ShownPair(str(split), str(pair_id), why))
    return chosen


def _typical(rows: pd.DataFrame) -> dict[str, str]:
    known = HEADLINE in rows and rows[f"{HEADLINE}|identity"].notna().all()
    metric = HEADLINE if known else "mse"
    judged = rows[rows["method"] != "identity"] if rows["method"].nunique() > 1 else rows
    if metric not in rows:
        return {}
    costs = judged.assign(cost=penalised(judged, metric)).dropna(subset=["cost"])
    ordered = costs.groupby("pair_id", sort=False)["cost"].mean().sort_values(kind="stable").index
    if ordered.empty:
        return {}
    places = {len(ordered) - 1: "worst", len(ordered) // 2: "median", 0: "best"}
    return {str(ordered[i]): f"{places[i]} over all methods" for i in sorted(places)}


def _notes(rows: pd.DataFrame) -> dict[str, str]:
    """Who failed or was silently wrong on a pair, by pair."""
    rows = rows[rows["method"] != "identity"]
    outcome = rows["outcome"].str.replace("_", " ").mask(silently_wrong(rows), "silently wrong")
    notes: dict[str, list[str]] = {}
    for pair_id, method, what in zip(rows["pair_id"], rows["method"], outcome, strict=True):
        if what != "ok":
            notes.setdefault(pair_id, []).append(f"{method}: {what}")
    return {pair: ", ".join(found) for pair, found in notes.items()}


def pair_views(run: Run, table: pd.DataFrame, progress: Progress) -> Iterator[dict[str, Any]]:
    """Draw the chosen pairs until the page is full; a pair whose images are gone says so."""
    refs = {(ref.split, ref.pair_id): ref for ref in run.store.pairs()}
    rows = dict(iter(table.groupby(["split", "pair_id"], sort=False)))
    chosen = choose_pairs(table)[:MAX_PAIRS]
    progress.begin(len(chosen))
    used = 0
    for shown in chosen:
        ref = refs[shown.split, shown.pair_id]  # type: ignore[index]
        view: dict[str, Any] = {
            "split": shown.split,
            "id": shown.pair_id,
            "why": shown.why,
            "note": ref.note,
            "modalities": [ref.fixed_modality, ref.moving_modality],
        }
        try:
            pair = run.dataset.load(ref)
        except BadInput as error:
            yield view | {"missing": str(error), "methods": []}
            continue
        view |= _pictures(run, pair, rows[shown.split, shown.pair_id])
        used += _size(view)
        if used > BUDGET:
            return
        progress.row("", shown.pair_id)
        yield view


def _pictures(run: Run, pair: ImagePair, rows: pd.DataFrame) -> dict[str, Any]:
    height, width = pair.fixed.shape
    scale = min(1.0, SIDE / max(height, width))
    moving_scale = min(1.0, SIDE / max(pair.moving.shape))
    return {
        "size": [round(width * scale), round(height * scale)],
        "moving_size": [round(s * moving_scale) for s in pair.moving.size],
        "fixed": webp(colour(pair.fixed), SIDE),
        "moving": webp(colour(pair.moving), SIDE),
        "methods": [
            _method_view(run, pair, row, scale, moving_scale) for row in rows.to_dict("records")
        ],
    }


def _method_view(
    run: Run, pair: ImagePair, row: dict[Any, Any], scale: float, moving_scale: float
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
            transform = run.store.transform(row["key"])
        except BadInput as error:
            return plain(view | {"outcome": "no picture", "reason": str(error)})
        view["warped"] = webp(warped(pair.fixed, pair.moving, transform), SIDE)
        view["grid"] = _grid(transform, pair, scale)
    matches = load_matches(run.folder, row["key"]) if row["key"] else None
    if matches is not None and len(matches.fixed):
        view["matches"] = _lines(matches, scale, moving_scale)
    seen = load_pictures(run.folder, row["key"]) if row["key"] else {}
    view["seen"] = [
        {"name": name.replace("_", " "), "image": webp(picture, _SMALL_SIDE)}
        for name, picture in list(seen.items())[:6]
    ]
    return plain(view)


def _grid(transform: Transform, pair: ImagePair, scale: float) -> list[list[list[float]]]:
    """Where the lines of a grid over the moving image end up in the fixed one."""
    height, width = pair.moving.shape
    x, y = np.linspace(0, width - 1, _GRID), np.linspace(0, height - 1, _GRID)
    mesh = np.stack(np.meshgrid(x, y), axis=-1)
    placed = transform.apply(mesh.reshape(-1, 2)).reshape(mesh.shape) * scale
    placed = np.where(np.isfinite(placed), np.clip(placed, -9999, 9999), -9999).round(1)
    return [line.tolist() for line in (*placed, *placed.swapaxes(0, 1))]


def _lines(matches: Matches, scale: float, moving_scale: float) -> list[list[float]]:
    order = np.argsort(matches.inliers, kind="stable")
    kept = order[:: max(1, -(-len(order) // _MATCHES))]
    ends = np.hstack([matches.fixed[kept] * scale, matches.moving[kept] * moving_scale]).round(1)
    return np.column_stack([ends, matches.inliers[kept]]).tolist()


def webp(picture: Pixels, side: int) -> str:
    """Encode a picture, shrunk to a side, for the ``src`` of an image."""
    size = picture.shape[1], picture.shape[0]
    small = resize(picture, fitted_size(size, min(side, max(size))))
    pixels = np.ascontiguousarray(small[..., ::-1] if small.ndim == 3 else small)
    _, data = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode()


def _size(view: dict[str, Any]) -> int:
    pictures = [view["fixed"], view["moving"]]
    for method in view["methods"]:
        pictures += [method.get("warped", ""), *(seen["image"] for seen in method.get("seen", []))]
    return sum(map(len, pictures))
