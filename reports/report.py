"""The page about a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from imedbench.analysis.protocols import PROTOCOLS, RankTable
from imedbench.analysis.protocols.collect import protocol_ranks
from imedbench.analysis.run import Run
from imedbench.core.errors import BadInput
from imedbench.core.progress import Progress
from imedbench.core.types import SPLITS
from imedbench.reports import analysis
from imedbench.reports.analysis import HEADLINE
from imedbench.reports.failures import failure_reasons
from imedbench.reports.formats import cell, interval, number, p_value
from imedbench.reports.gallery import Gallery, MethodFigures
from imedbench.reports.stages import stage_rows
from imedbench.reports.variants import ablations
from imedbench.runs.store import Prediction

SEED_METRICS = ("mse", "rmse")
DETAIL = ("tre_mean", "tre_median", "tre_max", "dice", "soft_dice", "nmi", "ncc", "ssim")


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
    from jinja2 import Environment, PackageLoader, StrictUndefined

    table = run.table()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror})") from error
    predictions = {p.key: p for p in run.store.predictions()}
    figures = Gallery(run, table, predictions, folder / "figures").draw(progress)
    environment = Environment(
        loader=PackageLoader("imedbench.reports"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(number=number, interval=interval, p=p_value, cell=cell)
    page = environment.get_template("report.md.j2").render(
        _content(run, table, predictions, figures)
    )
    path = folder / "report.md"
    path.write_text(page, encoding="utf-8")
    return path


def _content(
    run: Run,
    table: pd.DataFrame,
    predictions: Mapping[str, Prediction],
    figures: Mapping[str, list[MethodFigures]],
) -> dict[str, Any]:
    stages = {key: prediction.stages for key, prediction in predictions.items()}
    present = [split for split in SPLITS if (table["split"] == split).any()]
    return {
        "dataset": run.dataset.info,
        "splits": [_split(table, split, stages) for split in present],
        "failures": failure_reasons(table),
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


def _split(
    table: pd.DataFrame, split: str, stages: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
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
        "ablations": ablations(table, split, metric, rows),
        "stages": stage_rows(table, split, stages),
        "shown": [m for m in DETAIL if any(m in row.means for row in rows)],
    }


def _ranks(run: Run) -> dict[str, RankTable]:
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
