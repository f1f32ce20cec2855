"""The page about a run."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pandas as pd

from imedbench.analysis.best import HEADLINE, SplitResult, judge_split
from imedbench.analysis.protocols import PROTOCOLS
from imedbench.analysis.protocols.collect import protocol_ranks
from imedbench.analysis.published import published
from imedbench.analysis.run import Run
from imedbench.analysis.sweep import sweeps_beside
from imedbench.analysis.tables import (
    failure_reasons,
    incomplete,
    metric_info,
    metric_names,
    summarise,
)
from imedbench.core.errors import BadInput
from imedbench.core.progress import Progress
from imedbench.core.types import SPLITS
from imedbench.reports.charts import colours, split_charts
from imedbench.reports.figures import draw_chart
from imedbench.reports.formats import number, render
from imedbench.reports.gallery import Gallery
from imedbench.reports.plotly import Chart
from imedbench.reports.sweep import stress_chart

SEED_METRICS = ("mse", "rmse")
_CHARTS = ("cumulative", "risk-coverage", "pareto", "outcomes")  # of the page in Markdown


def write_report(run: Run, folder: Path, progress: Progress) -> Path:
    """Write ``report.md`` and its pictures.

    Args:
        run: scored.
        folder: made if it is missing; pictures go to ``figures/`` in it.
        progress: is told of every figure.

    Returns:
        The page's path.

    Raises:
        BadInput: when the folder cannot be made.
    """
    table = run.table()
    make_folder(folder)
    content = report_content(run, table)
    colour = colours(list(content["methods"]))
    figures = Gallery(run, table, folder / "figures").draw(progress)
    charts = {
        s.split: _charts(table[table["split"] == s.split], s, colour, folder / "figures")
        for s in content["splits"]
    }
    stress = [stress_chart(sweep) for sweep in sweeps_beside(run.folder)]
    charts["stress"] = [_drawn(chart, "stress", folder / "figures") for chart in stress]
    path = folder / "report.md"
    page = render("report.md.j2", **content, pairs=_per_pair(table), figures=figures, charts=charts)
    path.write_text(page, encoding="utf-8")
    return path


def _charts(
    table: pd.DataFrame, split: SplitResult, colour: dict[str, str], folder: Path
) -> list[tuple[Chart, str]]:
    """Draw the charts of the Markdown page, and say where each is."""
    found = split_charts(table, split, colour)
    return [_drawn(chart, split.split, folder) for chart in found if chart.name in _CHARTS]


def _drawn(chart: Chart, part: str, folder: Path) -> tuple[Chart, str]:
    name = f"{part}-chart-{chart.name}.png"
    draw_chart(chart, folder / name)
    return chart, f"figures/{name}"


def make_folder(folder: Path) -> None:
    """Make the folder of a page.

    Raises:
        BadInput: when it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror})") from error


def report_content(run: Run, table: pd.DataFrame) -> dict[str, Any]:
    """Collect what every kind of page says of a run."""
    rows = summarise(table)
    by_split = {split: [row for row in rows if row.split == split] for split in SPLITS}
    splits = [judge_split(table, found) for found in by_split.values() if found]
    ranks = {s.split: protocol_ranks(run.store, table[table["split"] == s.split]) for s in splits}
    seen = (*SEED_METRICS, HEADLINE)
    return {
        "dataset": run.dataset.info,
        "incomplete": incomplete(table),
        "splits": splits,
        "headlines": {s.split: headline(s) for s in splits},
        "failures": failure_reasons(table),
        "methods": run.store.methods(),
        "warnings": run.warnings(),
        "remarks": run.remarks(),
        "ranks": {split: found for split, found in ranks.items() if found is not None},
        "others": [metric_info(m) for m in metric_names(table) if m not in seen],
        "protocols": PROTOCOLS,
        "published": [p for s in splits for p in published(run.dataset.info.name, s.split)],
        "provenance": run.settings["provenance"],
        "settings": _settings(run.settings["config"]),
    }


def headline(split: SplitResult) -> str:
    """Say in one short sentence, in Markdown, what a split shows."""
    metric = metric_text(split.metric)
    if any(row.n_unanswered for row in split.rows):
        return "unfinished: pairs without an answer allow no means of the methods that lack them."
    best = split.best
    if best is None:
        return f"no method has a lower mean {metric} than the images left as they are."
    mean, unit = best.means[split.metric], metric_info(split.metric).unit
    text = (
        f"`{best.method}` has the lowest mean {metric}, {number(mean.estimate, digits(split))}"
        f"{unit and f' {unit}'}, and fails on {best.n_failures} of {best.n} pairs"
    )
    # A method that fails everywhere needs no test to be left out.
    close = [c for c in split.comparisons if not c.is_shown and c.other.n_failures < c.other.n]
    if close and close[0].smallest_p >= 0.05:
        return f"{text}; {best.n_groups} eyes are too few to prove its lead."
    alike = " and ".join(f"`{c.other.method}`" for c in close)
    return f"{text}{alike and f'; {alike} cannot be told from it'}."


def metric_text(metric: str) -> str:
    """Name a metric as the field does: TRE for its mean, MSE for ours."""
    return {"tre_mean": "TRE", "mse": "MSE"}.get(metric, metric)


def digits(split: SplitResult) -> int:
    """Decimals that the metric of a split is shown with."""
    return 2 if split.metric == HEADLINE else 3


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """Name the settings that the provenance does not repeat."""
    shown = {name: config[name] for name in config if name not in ("device", "threads")}
    # A path says nothing to a reader elsewhere: the last part of it does.
    shown["data"] = re.sub(r"[^=]*/", "", config["data"])
    return {name: "–" if value is None else value for name, value in shown.items()}


def _per_pair(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One row a split and pair, one cell a method; the metric is the one its pairs have."""
    nothing = pd.Series(math.nan, index=table.index)
    tre, mse = table.get(HEADLINE, nothing), table.get("mse", nothing)
    known = table.get(f"{HEADLINE}|identity", nothing).notna()
    error = tre.map(number).where(known, mse.map(lambda value: number(value, 3)))
    text = error.where(table["outcome"] == "ok", table["outcome"].str.replace("_", " "))
    metric = known.map({True: "TRE px", False: "MSE"})
    shown = table.assign(text=text, metric=metric)
    keys = ["split", "pair_id", "metric"]
    wide = shown.pivot_table(
        index=keys, columns="method", values="text", aggfunc="first", sort=False
    )
    return [
        dict(zip(keys, key, strict=True)) | {"values": dict(zip(wide.columns, cells, strict=True))}
        for key, cells in zip(wide.index, wide.fillna("–").to_numpy(), strict=True)
    ]
