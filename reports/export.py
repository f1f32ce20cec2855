"""A run as files for other programs and for a paper; docs/reference/exports.md has the schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from imedbench.analysis.best import SplitResult
from imedbench.analysis.protocols import RankTable
from imedbench.analysis.run import Run
from imedbench.analysis.tables import MethodSummary, metric_info
from imedbench.core.errors import BadInput
from imedbench.reports.charts import colours, split_charts
from imedbench.reports.figures import draw_chart
from imedbench.reports.formats import render, tex
from imedbench.reports.report import report_content
from imedbench.runs.output import claim

SCHEMA = 1  # raise it when a column changes its name or meaning
_ROW_COLUMNS = ("key", "stages")  # of the run's own book-keeping, not exported
_SUMMARY_COLUMNS = [
    *("split", "method", "n", "n_groups", "kind", "name"),
    *("estimate", "low", "high", "unit", "mean_ok"),
]


def export(
    run: Run, folder: Path, kind: str, figures: str | None, bibtex: bool, *, force: bool = False
) -> list[Path]:
    """Write the rows, summaries and figures of a run.

    Args:
        run: scored.
        folder: made if it is missing.
        kind: ``csv``, ``parquet``, ``json``, ``latex`` or ``md``.
        figures: ``pdf``, ``svg`` or ``png`` for charts at 300 dpi; None for none.
        bibtex: whether to write the sources of methods and data set.
        force: whether files that are no earlier export are replaced.

    Raises:
        BadInput: when the folder cannot be made or holds such files, or parquet's library is not
            installed.
    """
    table = run.table()
    content = report_content(run, table)
    files = _tables(run, table, content, kind)
    if figures:
        colour = colours(list(content["methods"]))
        for split in content["splits"]:
            part = table[table["split"] == split.split]
            for chart in split_charts(part, split, colour):
                files[f"{split.split}-{chart.name}.{figures}"] = partial(draw_chart, chart, dpi=300)
    if bibtex:
        files["sources.bib"] = partial(_text, _bibtex(run))
    claim(folder, files, [run.folder], force=force)
    for name, write in files.items():
        write(folder / name)
    return [folder / name for name in files]


def _tables(
    run: Run, table: pd.DataFrame, content: dict[str, Any], kind: str
) -> dict[str, Callable[[Path], None]]:
    """What writes each file of a kind, by its name."""
    rows = table.drop(columns=list(_ROW_COLUMNS))
    lines = _summary(content["splits"], content["ranks"])
    summary = pd.DataFrame(lines, columns=_SUMMARY_COLUMNS)
    summary = summary.astype({"n": "Int64", "n_groups": "Int64"})
    if kind == "json":
        return {"results.json": partial(_json, run, rows, summary)}
    if kind in ("latex", "md"):
        name = {"latex": "table.tex", "md": "table.md"}[kind]
        return {name: partial(_text, render(f"{name}.j2", **content))}
    return {f"rows.{kind}": partial(_frame, rows), f"summary.{kind}": partial(_frame, summary)}


def _summary(splits: list[SplitResult], ranks: dict[str, RankTable]) -> Iterator[dict[str, Any]]:
    """One line a figure: every metric, the failures, the latency and each protocol's own."""
    for split in splits:
        for row in split.rows:
            yield from _method_lines(row)
        ranked = ranks.get(split.split)
        for method, results in ranked.results.items() if ranked else ():
            for protocol, result in results.items():
                for name, value in result.figures.items():
                    base = {"split": split.split, "method": method, "kind": "protocol"}
                    yield base | {"name": f"{protocol}/{name}", "estimate": value, "n": result.n}


def _method_lines(row: MethodSummary) -> Iterator[dict[str, Any]]:
    base = {"split": row.split, "method": row.method, "n": row.n, "n_groups": row.n_groups}
    low, high = (limit * row.n for limit in (row.failures.low, row.failures.high))
    counts = {"failures": (row.n_failures, low, high), "unanswered": (row.n_unanswered, None, None)}
    for name, (count, below, above) in counts.items():
        yield base | {"kind": "count", "name": name, "estimate": count, "low": below, "high": above}
    yield base | {"kind": "time", "name": "latency", "unit": "ms", "estimate": row.latency_ms}
    for name, mean in row.means.items():
        facts = {"kind": "metric", "name": name, "unit": metric_info(name).unit}
        limits = {"estimate": mean.estimate, "low": mean.low, "high": mean.high}
        yield base | facts | limits | {"mean_ok": row.means_ok.get(name)}


def _text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _frame(frame: pd.DataFrame, path: Path) -> None:
    frame = frame.assign(schema=SCHEMA)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
        return
    try:
        frame.to_parquet(path, index=False)
    except ImportError:
        raise BadInput("parquet needs pyarrow: pip install 'imedbench[parquet]'") from None


def _json(run: Run, rows: pd.DataFrame, summary: pd.DataFrame, path: Path) -> None:
    content = {
        "schema": SCHEMA,
        "dataset": run.dataset.info.name,
        "dataset_version": run.dataset.info.version,
        "provenance": run.settings["provenance"],
        "summary": summary.astype(object).where(summary.notna(), None).to_dict("records"),
        "rows": rows.to_dict("records"),
    }
    # What is not finite becomes null.
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1))


def _bibtex(run: Run) -> str:
    """Sources as far as methods and data set name them; one entry each, as free text."""
    from imedbench import __version__

    named = {
        spec.partition(":")[0]: info.paper for spec, info in run.store.methods().items() if info
    }
    named[f"data-{run.dataset.info.name}"] = run.dataset.info.reference
    named["imedbench"] = f"imedbench {__version__}, benchmark of retinal image registration"
    entries = []
    for key, source in named.items():
        if source:
            year = re.findall(r"(?:19|20)\d\d", source)
            fields = [f"  title = {{{{{tex(source)}}}}}", *(f"  year = {{{y}}}" for y in year[-1:])]
            safe = re.sub(r"[^A-Za-z0-9-]", "-", key)
            entries.append(f"@misc{{{safe},\n" + ",\n".join(fields) + "\n}\n")
    return "\n".join(entries)
