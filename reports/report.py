"""The page about a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from imedbench.core.datasets import PairRef
from imedbench.core.errors import BadInput
from imedbench.core.types import SPLITS
from imedbench.diagnostics import load_matches
from imedbench.grading import protocol_ranks
from imedbench.observer import Observer
from imedbench.protocols import PROTOCOLS, RankTable
from imedbench.reports import analysis
from imedbench.reports.figures import Example, draw_examples, draw_picture
from imedbench.reports.formats import cell, interval, number, p_value
from imedbench.reports.pictures import draw_matches
from imedbench.results import OpenRun
from imedbench.store import Prediction

HEADLINE = "tre_mean"
SEED_METRICS = ("mse", "rmse")
DETAIL = ("tre_mean", "tre_median", "tre_max", "dice", "soft_dice", "nmi", "ncc", "ssim")


def write_report(run: OpenRun, folder: Path, observer: Observer) -> Path:
    """Write ``report.md`` and its pictures.

    Args:
        run: scored.
        folder: made if it is missing; pictures go to ``figures/`` in it.
        observer: is told of every figure.

    Returns:
        The page's path.

    Raises:
        BadInput: when the folder cannot be made.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    table = run.table()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror})") from error
    figures = _Figures(run, table, folder / "figures", observer).draw()
    environment = Environment(
        loader=PackageLoader("imedbench.reports"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(number=number, interval=interval, p=p_value, cell=cell)
    page = environment.get_template("report.md.j2").render(_content(run, table, figures))
    path = folder / "report.md"
    path.write_text(page, encoding="utf-8")
    return path


def _content(run: OpenRun, table: pd.DataFrame, figures: dict[str, list[Any]]) -> dict[str, Any]:
    return {
        "dataset": run.dataset.info,
        "splits": [_split(table, split) for split in SPLITS if (table["split"] == split).any()],
        "failures": analysis.failure_reasons(table),
        "methods": run.store.methods(),
        "figures": figures,
        "pairs": _per_pair(table),
        "headline": HEADLINE,
        "warnings": run.warnings(),
        "ranks": _ranks(run),
        "detail": DETAIL,
        "protocols": PROTOCOLS,
        "provenance": run.settings["provenance"],
        "settings": _settings(run.settings["config"]),
    }


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """The settings that the provenance does not repeat."""
    shown = {name: config[name] for name in config if name not in ("device", "threads")}
    # A path says nothing to a reader elsewhere: the last part of it does.
    shown["data"] = re.sub(r"[^=]*/", "", config["data"])
    return {name: "–" if value is None else value for name, value in shown.items()}


def _split(table: pd.DataFrame, split: str) -> dict[str, Any]:
    rows = analysis.method_rows(table, split, [*SEED_METRICS, *DETAIL])
    metric = HEADLINE if any(HEADLINE in row.means for row in rows) else "mse"
    found = analysis.best_and_rest(rows, metric)
    best, rest = found or (None, [])
    return {
        "name": split,
        "rows": rows,
        "metric": metric,
        "best": best,
        "beats_nothing": best is not None and not analysis.beats_doing_nothing(rows, best, metric),
        "comparisons": analysis.comparisons(table, split, metric, best, rest) if best else [],
        "standings": analysis.standings(table, split, metric, rows),
        "shown": [m for m in DETAIL if any(m in row.means for row in rows)],
    }


def _ranks(run: OpenRun) -> dict[str, RankTable]:
    """How the methods rank under every protocol, by split; none where pairs lack answers."""
    found = {split: protocol_ranks(run, split) for split in {r.split for r in run.store.pairs()}}
    return {split: table for split, table in sorted(found.items()) if table is not None}


def _per_pair(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One row a split and pair, one cell a method."""
    rows = []
    methods = list(dict.fromkeys(table["method"]))
    for (split, pair_id), part in table.groupby(["split", "pair_id"], sort=False):
        cells = part.set_index("method")
        values = {m: _pair_cell(cells.loc[m]) for m in methods}
        rows.append({"split": split, "pair_id": pair_id, "values": values})
    return rows


def _pair_cell(row: pd.Series[Any]) -> str:
    if row["outcome"] != "ok":
        return str(row["outcome"]).replace("_", " ")
    return number(row[HEADLINE] if HEADLINE in row else row.get("mse"))


class _Figures:
    """Draws best, median and worst pair of each method, and its failures."""

    def __init__(self, run: OpenRun, table: pd.DataFrame, folder: Path, observer: Observer) -> None:
        self.run, self.table, self.folder, self.observer = run, table, folder, observer
        self.predictions = {p.key: p for p in run.store.predictions()}
        self.refs = {(ref.split, ref.pair_id): ref for ref in run.store.pairs()}

    def draw(self) -> dict[str, list[Any]]:
        """Draw everything; file names relative to the page, by split."""
        self.folder.mkdir(parents=True, exist_ok=True)
        groups = list(self.table.groupby(["split", "method"], sort=False))
        self.observer.begin(len(groups))
        drawn: dict[str, list[Any]] = {}
        for (split, method), rows in groups:
            stem = re.sub(r"[^A-Za-z0-9]+", "-", f"{split}-{method}").strip("-")
            files = list(self._draw_method(rows, stem))
            drawn.setdefault(str(split), []).append({"method": method, "files": files})
            self.observer.row(str(method), "")
        return drawn

    def _draw_method(self, rows: pd.DataFrame, stem: str) -> Iterator[str]:
        failed = rows[rows["outcome"] != "ok"]
        if len(failed):
            examples = [self._example("failed", row) for _, row in failed.head(3).iterrows()]
            draw_examples(examples, self.folder / f"{stem}-failed.png")
            yield f"figures/{stem}-failed.png"
        chosen = _best_median_worst(rows[rows["outcome"] == "ok"])
        if chosen:
            examples = [self._example(label, row) for label, row in chosen]
            draw_examples(examples, self.folder / f"{stem}.png")
            yield f"figures/{stem}.png"
            yield from self._draw_matches(chosen[-1][1], stem)

    def _draw_matches(self, row: pd.Series[Any], stem: str) -> Iterator[str]:
        matches = load_matches(self.run.folder, row["key"])
        if matches is not None:
            pair = self.run.dataset.load(self._ref(row))
            picture = draw_matches(pair.fixed, pair.moving, matches)
            draw_picture(picture, self.folder / f"{stem}-matches.png")
            yield f"figures/{stem}-matches.png"

    def _example(self, label: str, row: pd.Series[Any]) -> Example:
        prediction: Prediction | None = self.predictions.get(row["key"])
        ok = row["outcome"] == "ok" and prediction is not None
        remark = row["reason"] if not ok else _error_text(row)
        transform = prediction.transform if ok and prediction is not None else None
        return Example(label, self.run.dataset.load(self._ref(row)), transform, remark)

    def _ref(self, row: pd.Series[Any]) -> PairRef:
        return self.refs[row["split"], row["pair_id"]]


def _best_median_worst(rows: pd.DataFrame) -> list[tuple[str, pd.Series[Any]]]:
    metric = HEADLINE if HEADLINE in rows and rows[HEADLINE].notna().any() else "mse"
    if metric not in rows or rows.empty:
        return []
    ordered = rows.sort_values(metric, kind="stable")
    places = {"best": 0, "median": len(ordered) // 2, "worst": len(ordered) - 1}
    # With one or two pairs the same pair would be drawn twice.
    unique = {place: label for label, place in reversed(places.items())}
    return [(unique[place], ordered.iloc[place]) for place in sorted(unique)]


def _error_text(row: pd.Series[Any]) -> str:
    if HEADLINE in row and not pd.isna(row[HEADLINE]):
        return f"TRE {number(row[HEADLINE])} px"
    return f"MSE {number(row['mse'], 3)}"
