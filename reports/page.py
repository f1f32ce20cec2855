"""The self-contained HTML page about a run: one file, no network, no script but its own."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from imedbench.analysis.best import HEADLINE
from imedbench.analysis.published import counterpart
from imedbench.analysis.risk import risk_coverage, silently_wrong
from imedbench.analysis.run import Run
from imedbench.core.arrays import plain
from imedbench.core.progress import Progress
from imedbench.reports.charts import colours, split_charts
from imedbench.reports.formats import render
from imedbench.reports.plotly import figure
from imedbench.reports.report import make_folder, report_content
from imedbench.reports.viewer import WRONG_NOTE, pair_views

NAME = "report.html"
_SCRIPTS = ("charts.js", "tables.js", "viewer.js")


def write_page(run: Run, folder: Path, progress: Progress) -> Path:
    """Write ``report.html``.

    Args:
        run: scored.
        folder: made if it is missing.
        progress: is told of every pair drawn.

    Returns:
        The page's path.

    Raises:
        BadInput: when the folder cannot be made.
    """
    table = run.table()
    make_folder(folder)
    content = report_content(run, table)
    colour = colours(list(content["methods"]))
    charts = {
        split.split: split_charts(table[table["split"] == split.split], split, colour)
        for split in content["splits"]
    }
    risks = {split: risk_coverage(rows) for split, rows in table.groupby("split", sort=False)}
    pairs = list(pair_views(run, table, progress))
    data = {
        "charts": {f"{s}-{c.name}": figure(c) for s, found in charts.items() for c in found},
        "pairs": pairs,
        "rows": _rows(table),
        "colours": colour,
    }
    page = render(
        "report.html.j2",
        **content,
        charts=charts,
        wrong={s: {r.method: r for r in found} for s, found in risks.items()},
        colours=colour,
        n_rows=len(table),
        n_shown=len(pairs),
        n_pairs=table[["split", "pair_id"]].drop_duplicates().shape[0],
        wrong_note=WRONG_NOTE,
        counterpart=counterpart,
        data=_script_safe(data),
        style=_asset("page.css"),
        scripts=[_asset("plotly-basic.min.js"), *map(_asset, _SCRIPTS)],
    )
    path = folder / NAME
    path.write_text(page, encoding="utf-8")
    return path


def _rows(table: pd.DataFrame) -> dict[str, Any]:
    """Every row of the run by column, names as numbers: ten thousand pairs fit a page so."""
    packed: dict[str, Any] = {}
    shown = table.assign(
        outcome=table["outcome"]
        .str.replace("_", " ")
        .mask(silently_wrong(table), "silently wrong"),
        modalities=table["fixed_modality"] + " / " + table["moving_modality"],
    )
    for name in ("method", "split", "pair_id", "group", "modalities", "outcome", "reason"):
        codes, names = pd.factorize(shown[name].fillna("").astype(str))
        packed[name] = {"codes": codes.tolist(), "names": list(names)}
    for name, digits in ((HEADLINE, 3), ("mse", 4), ("confidence", 3), ("latency_ms", 2)):
        if name in shown:
            packed[name] = shown[name].round(digits).tolist()
    return packed


def _script_safe(data: Any) -> str:
    """Write JSON that cannot end the script element it stands in, whatever names it holds."""
    text = json.dumps(plain(data), ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _asset(name: str) -> str:
    return (files("imedbench.reports") / "assets" / name).read_text(encoding="utf-8")
