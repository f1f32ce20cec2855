"""The self-contained HTML page about a run: one file, no network, no script but its own."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from imedbench.analysis.best import HEADLINE
from imedbench.analysis.published import counterpart
from imedbench.analysis.risk import risk_coverage, silently_wrong
from imedbench.analysis.run import Run
from imedbench.analysis.sweep import Sweep, sweeps_beside
from imedbench.core.arrays import plain
from imedbench.core.progress import Progress
from imedbench.reports.charts import colours, split_charts
from imedbench.reports.formats import render
from imedbench.reports.plotly import Chart, figure
from imedbench.reports.report import make_folder, report_content
from imedbench.reports.shown import WRONG_NOTE
from imedbench.reports.sweep import stress_chart
from imedbench.reports.viewer import pair_views

NAME = "report.html"
MOST_BYTES = 19_500_000  # of a page: mail servers take 20 MB
_FRAME_BYTES = 400_000  # tables and style
_ROW_NAMES = ("method", "split", "pair_id", "group", "modalities", "outcome", "reason")
_ROW_NUMBERS = ((HEADLINE, 3), ("mse", 4), ("confidence", 3), ("latency_ms", 2))


def write_page(run: Run, folder: Path, progress: Progress, wanted: Sequence[str] = ()) -> Path:
    """Write ``report.html``.

    Args:
        run: scored.
        folder: made if it is missing.
        progress: is told of every pair drawn.
        wanted: ids of pairs whose pictures must be in it.

    Returns:
        The page's path.

    Raises:
        BadInput: when the folder cannot be made, or the run has no pair of a wanted id.
    """
    table = run.table()
    make_folder(folder)
    content = report_content(run, table)
    colour = colours(list(content["methods"]))
    charts = {
        split.split: split_charts(table[table["split"] == split.split], split, colour)
        for split in content["splits"]
    }
    stress = [stress_chart(sweep) for sweep in sweeps_beside(run.folder)]
    scripts = _scripts("charts.js", "sort.js", "rows.js", "viewer.js")
    data = {
        "charts": _json(plain(_figures({**charts, "stress": stress}))),
        "rows": _json(_rows(table)),
        "colours": _json(colour),
    }
    used = sum(len(text.encode()) for text in [*data.values(), *scripts])
    views = pair_views(run, table, MOST_BYTES - _FRAME_BYTES - used, progress, wanted)
    data["pairs"] = _json(views.drawn)
    data["undrawn"] = _json([(pair.split, pair.pair_id, pair.why) for pair in views.undrawn])
    risks = {split: risk_coverage(rows) for split, rows in table.groupby("split", sort=False)}
    page = render(
        "report.html.j2",
        **content,
        charts=charts,
        stress=stress,
        wrong={s: {r.method: r for r in found} for s, found in risks.items()},
        colours=colour,
        n_shown=len(views.drawn),
        n_undrawn=len(views.undrawn),
        n_pairs=table[["split", "pair_id"]].drop_duplicates().shape[0],
        wrong_note=WRONG_NOTE,
        counterpart=counterpart,
        data=_object(data),
        style=_asset("page.css"),
        scripts=scripts,
    )
    path = folder / NAME
    path.write_text(page, encoding="utf-8")
    return path


def write_sweep_page(sweep: Sweep, folder: Path) -> Path:
    """Write ``sweep.html``: the curves of a sweep and their figures."""
    chart = stress_chart(sweep)
    page = render(
        "sweep.html.j2",
        sweep=sweep,
        stress=[chart],
        data=_object({"charts": _json(plain(_figures({"stress": [chart]})))}),
        style=_asset("page.css"),
        scripts=_scripts("charts.js", "sort.js"),
    )
    path = folder / "sweep.html"
    path.write_text(page, encoding="utf-8")
    return path


def _figures(charts: dict[str, list[Chart]]) -> dict[str, Any]:
    return {f"{part}-{c.name}": figure(c) for part, found in charts.items() for c in found}


def _rows(table: pd.DataFrame) -> dict[str, Any]:
    """Every row of the run by column, names as numbers: ten thousand pairs fit a page so."""
    outcome = table["outcome"].str.replace("_", " ")
    shown = table.assign(
        outcome=outcome.mask(silently_wrong(table), "silently wrong"),
        modalities=table["fixed_modality"] + " / " + table["moving_modality"],
    )
    packed: dict[str, Any] = {}
    for name in _ROW_NAMES:
        codes, names = pd.factorize(shown[name].fillna("").astype(str))
        packed[name] = {"codes": codes.tolist(), "names": list(names)}
    for name, digits in _ROW_NUMBERS:
        if name in shown:
            packed[name] = shown[name].astype(float).round(digits).tolist()
    return packed


def _json(data: Any) -> str:
    """Write JSON that cannot end the script element it stands in; null for what is not finite."""
    text = msgspec.json.encode(data).decode()
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _object(parts: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{text}' for name, text in parts.items()) + "}"


def _scripts(*names: str) -> list[str]:
    return [_asset("plotly-basic.min.js"), *map(_asset, names)]


def _asset(name: str) -> str:
    return (files("imedbench.reports") / "assets" / name).read_text(encoding="utf-8")
