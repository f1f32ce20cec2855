"""Which pairs of a run are drawn for the Markdown page, and into which files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pandas as pd

from imedbench.analysis.best import HEADLINE
from imedbench.analysis.run import Run
from imedbench.core.errors import BadInput
from imedbench.core.progress import Progress
from imedbench.reports.figures import Tile, draw_comparison, draw_panels, draw_picture
from imedbench.reports.formats import cell, number, prose
from imedbench.reports.pictures import colour, draw_matches, overlay
from imedbench.reports.shown import ShownPair, choose_pairs
from imedbench.runs.files import load_matches, load_pictures, slug

MAX_PANELS = 6  # more would be too small to see anything in
_MAX_PAIRS = 5  # a split; the HTML page has them all
_PLACE = ["method", "split", "pair_id", "key"]


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Args:
        file: relative to the page.
        caption: Markdown.
        alt: what it shows, for who cannot see it.
    """

    file: str
    caption: str
    alt: str


@dataclass(frozen=True)
class SplitFigures:
    """The figures of one split: pairs under every method, and what single methods saw."""

    pairs: list[Figure] = field(default_factory=list)
    methods: list[Figure] = field(default_factory=list)


class Gallery:
    """Draws the same pairs under every method, and what each method saw.

    Args:
        run: scored.
        table: of `imedbench.analysis.tables.pair_table`.
        folder: where pictures go; made if it is missing.
    """

    def __init__(self, run: Run, table: pd.DataFrame, folder: Path) -> None:
        self.run, self.table, self.folder = run, table, folder
        self.refs = {(str(ref.split), ref.pair_id): ref for ref in run.store.pairs()}

    def draw(self, progress: Progress) -> dict[str, SplitFigures]:
        """Draw everything, by split."""
        self.folder.mkdir(parents=True, exist_ok=True)
        figures: dict[str, SplitFigures] = {}
        chosen = choose_pairs(self.table)
        progress.begin(len(set(self.table["split"])))
        for split, rows in self.table.groupby("split", sort=False):
            drawn = figures.setdefault(str(split), SplitFigures())
            telling = [s for s in chosen if s.split == split and s.why][:_MAX_PAIRS]
            for shown in telling:
                drawn.pairs.extend(self._pair(shown, rows[rows["pair_id"] == shown.pair_id]))
            for method, of_method in rows.groupby("method", sort=False):
                drawn.methods.extend(self._method(of_method, slug(f"{split}-{method}")))
            progress.row(str(split), "")
        return figures

    def _pair(self, shown: ShownPair, rows: pd.DataFrame) -> Iterator[Figure]:
        """One pair: fixed, moving, and each method's overlay."""
        try:
            pair = self.run.dataset.load(self.refs[shown.split, shown.pair_id])
        except BadInput:
            return  # the tables say which images cannot be read
        tiles = [Tile("fixed", colour(pair.fixed)), Tile("moving", colour(pair.moving))]
        for row in rows.to_dict("records"):
            if row["outcome"] != "ok":
                tiles.append(Tile(f"{row['method']}: {row['outcome'].replace('_', ' ')}", None))
                continue
            try:
                transform = self.run.store.transform(row["key"])
                picture = overlay(pair.fixed, pair.moving, transform)
            except BadInput:
                picture = None
            tiles.append(Tile(f"{row['method']}: {_error_text(row)}", picture))
        name = f"{slug(f'{shown.split}-{shown.pair_id}')}.jpg"
        draw_comparison(tiles, self.folder / name)
        said = "; ".join(tile.title for tile in tiles[2:])
        yield Figure(
            f"figures/{name}",
            f"`{cell(shown.pair_id)}`: {prose(shown.why)}",
            f"Pair {shown.pair_id}: {said}",
        )

    def _method(self, rows: pd.DataFrame, stem: str) -> Iterator[Figure]:
        answered, failed = rows[rows["outcome"] == "ok"], rows[rows["outcome"] != "ok"]
        ordered = list(_by_error(answered)[_PLACE].itertuples(index=False))
        yield from self._matches(ordered[-1:], stem)
        telling = [("its median pair", row) for row in ordered[len(ordered) // 2 :][:1]]
        named = failed[_PLACE].itertuples(index=False)
        yield from self._seen(
            chain(telling, (("its first failed pair with pictures", row) for row in named)), stem
        )

    def _matches(self, worst: list[Any], stem: str) -> Iterator[Figure]:
        for row in worst:
            matches = load_matches(self.run.folder, row.key)
            if matches is not None:
                try:
                    pair = self.run.dataset.load(self.refs[row.split, row.pair_id])
                except BadInput:
                    return  # the tables say which images cannot be read
                picture = draw_matches(pair.fixed, pair.moving, matches)
                draw_picture(picture, self.folder / f"{stem}-matches.png")
                method, pair_id = cell(row.method), cell(row.pair_id)
                caption = f"Matches of `{method}` on its worst pair, `{pair_id}`:"
                alt = f"Matches of {row.method}, kept ones green, rejected ones red"
                yield Figure(f"figures/{stem}-matches.png", caption, alt)

    def _seen(self, rows: Iterable[tuple[str, Any]], stem: str) -> Iterator[Figure]:
        """Draw the method's own pictures of the first of these pairs that has any."""
        for label, row in rows:
            pictures = load_pictures(self.run.folder, row.key) if row.key else {}
            if pictures:
                shown = dict(islice(pictures.items(), MAX_PANELS))
                draw_panels(shown, self.folder / f"{stem}-seen.png")
                part = "" if len(shown) == len(pictures) else f", first {MAX_PANELS} pictures"
                caption = f"What `{cell(row.method)}` saw on {label}, `{cell(row.pair_id)}`{part}:"
                alt = f"{row.method} on {row.pair_id}: {', '.join(shown)}"
                yield Figure(f"figures/{stem}-seen.png", caption, alt)
                return


def _by_error(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows from the best to the worst; none where nothing was scored."""
    metric = HEADLINE if HEADLINE in rows and rows[HEADLINE].notna().any() else "mse"
    return rows.sort_values(metric, kind="stable") if metric in rows else rows[:0]


def _error_text(row: dict[Any, Any]) -> str:
    if HEADLINE in row and not pd.isna(row[HEADLINE]):
        return f"{number(row[HEADLINE])} px"
    return f"MSE {number(row['mse'], 3)}" if "mse" in row else "not scored"
