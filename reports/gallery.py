"""Which pairs of a run are drawn, and into which files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from imedbench.analysis.best import HEADLINE
from imedbench.analysis.run import Run
from imedbench.core.datasets import PairRef
from imedbench.core.progress import Progress
from imedbench.reports.figures import Example, draw_examples, draw_panels, draw_picture
from imedbench.reports.formats import number
from imedbench.reports.pictures import draw_matches
from imedbench.runs.files import load_matches, load_pictures

MAX_PANELS = 6  # more would be too small to see anything in


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Args:
        file: relative to the page.
        caption: Markdown; empty where the figure says it all.
    """

    file: str
    caption: str = ""


@dataclass(frozen=True)
class MethodFigures:
    """The figures of one method on one split."""

    method: str
    drawn: list[Figure]


class Gallery:
    """Draws best, median and worst pair of each method, its failures and what it saw.

    Args:
        run: scored.
        table: of `imedbench.analysis.tables.pair_table`.
        folder: where pictures go; made if it is missing.
    """

    def __init__(self, run: Run, table: pd.DataFrame, folder: Path) -> None:
        self.run, self.table, self.folder = run, table, folder
        self.refs = {(ref.split, ref.pair_id): ref for ref in run.store.pairs()}

    def draw(self, progress: Progress) -> dict[str, list[MethodFigures]]:
        """Draw everything, by split."""
        self.folder.mkdir(parents=True, exist_ok=True)
        groups = list(self.table.groupby(["split", "method"], sort=False))
        progress.begin(len(groups))
        figures: dict[str, list[MethodFigures]] = {}
        for (split, method), rows in groups:
            stem = re.sub(r"[^A-Za-z0-9]+", "-", f"{split}-{method}").strip("-")
            drawn = list(self._draw_method(rows, stem))
            figures.setdefault(str(split), []).append(MethodFigures(str(method), drawn))
            progress.row(str(method), "")
        return figures

    def _draw_method(self, rows: pd.DataFrame, stem: str) -> Iterator[Figure]:
        ok = rows["outcome"] == "ok"
        failed, ordered = [row for _, row in rows[~ok].iterrows()], _by_error(rows[ok])
        if failed:
            examples = [self._example("failed", row) for row in failed[:3]]
            draw_examples(examples, self.folder / f"{stem}-failed.png")
            yield Figure(f"figures/{stem}-failed.png")
        if ordered:
            chosen = _best_median_worst(ordered)
            examples = [self._example(label, row) for label, row in chosen]
            draw_examples(examples, self.folder / f"{stem}.png")
            yield Figure(f"figures/{stem}.png")
            yield from self._draw_matches(ordered[-1], stem)
        telling = [("its median pair", row) for row in ordered[_middle(ordered) :][:1]]
        telling += [("its first failed pair with pictures", row) for row in failed]
        yield from self._draw_seen(telling, stem)

    def _draw_matches(self, row: pd.Series[Any], stem: str) -> Iterator[Figure]:
        matches = load_matches(self.run.folder, row["key"])
        if matches is not None:
            pair = self.run.dataset.load(self._ref(row))
            picture = draw_matches(pair.fixed, pair.moving, matches)
            draw_picture(picture, self.folder / f"{stem}-matches.png")
            yield Figure(f"figures/{stem}-matches.png")

    def _draw_seen(self, rows: Iterable[tuple[str, pd.Series[Any]]], stem: str) -> Iterator[Figure]:
        """Draw the method's own pictures of the first of these pairs that has any."""
        for label, row in rows:
            pictures = load_pictures(self.run.folder, row["key"]) if row["key"] else {}
            if pictures:
                shown = dict(islice(pictures.items(), MAX_PANELS))
                draw_panels(shown, self.folder / f"{stem}-seen.png")
                part = "" if len(shown) == len(pictures) else f", first {MAX_PANELS} pictures"
                caption = f"What `{row['method']}` saw on {label}, `{row['pair_id']}`{part}:"
                yield Figure(f"figures/{stem}-seen.png", caption)
                return

    def _example(self, label: str, row: pd.Series[Any]) -> Example:
        ok = row["outcome"] == "ok"
        remark = _error_text(row) if ok else row["reason"]
        transform = self.run.store.transform(row["key"]) if ok else None
        return Example(label, self.run.dataset.load(self._ref(row)), transform, remark)

    def _ref(self, row: pd.Series[Any]) -> PairRef:
        return self.refs[row["split"], row["pair_id"]]


def _by_error(rows: pd.DataFrame) -> list[pd.Series[Any]]:
    """The rows from the best to the worst; none where nothing was scored."""
    metric = HEADLINE if HEADLINE in rows and rows[HEADLINE].notna().any() else "mse"
    if metric not in rows:
        return []
    return [row for _, row in rows.sort_values(metric, kind="stable").iterrows()]


def _middle(ordered: list[pd.Series[Any]]) -> int:
    return len(ordered) // 2


def _best_median_worst(ordered: list[pd.Series[Any]]) -> list[tuple[str, pd.Series[Any]]]:
    places = {"best": 0, "median": _middle(ordered), "worst": len(ordered) - 1}
    # With one or two pairs the same pair would be drawn twice.
    unique = {place: label for label, place in reversed(places.items())}
    return [(unique[place], ordered[place]) for place in sorted(unique)]


def _error_text(row: pd.Series[Any]) -> str:
    if HEADLINE in row and not pd.isna(row[HEADLINE]):
        return f"TRE {number(row[HEADLINE])} px"
    return f"MSE {number(row['mse'], 3)}"
