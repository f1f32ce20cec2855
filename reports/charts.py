"""The charts of a run, each as plain data that a page or a figure can draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from imedbench.analysis.best import HEADLINE, SplitResult
from imedbench.analysis.protocols.curves import auc_recall
from imedbench.analysis.risk import WRONG_PX, cumulative, risk_coverage, silently_wrong
from imedbench.analysis.tables import MethodSummary
from imedbench.reports.plotly import Chart, Series

#: Okabe and Ito's colours, told apart by the colour-blind too; identity is always grey.
#: From the ninth on they are Tol's.
COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7b5ea7"),
    *("#44aa99", "#882255", "#999933", "#3f51b5"),
)
GREY = "#8a8f98"
OUTCOMES = {
    "right": "#009e73",
    "silently wrong": "#d55e00",
    "no transform": "#8a8f98",
    "degenerate": "#cc79a7",
    "timeout": "#e69f00",
    "out of memory": "#56b4e9",
    "unanswered": "#111111",
}
_MAX_POINTS = 400  # a method: more cannot be told apart on a screen


def colours(methods: Sequence[str]) -> dict[str, str]:
    """Give each method its colour, the same in every chart."""
    others = [method for method in methods if method != "identity"]
    return {m: COLOURS[i % len(COLOURS)] for i, m in enumerate(others)} | {"identity": GREY}


def split_charts(table: pd.DataFrame, split: SplitResult, colour: dict[str, str]) -> list[Chart]:
    """Draw up all charts that the rows of a split allow.

    Args:
        table: rows of the split, of `imedbench.analysis.tables.pair_table`.
        split: what they show.
        colour: by method.
    """
    by_method = {str(m): rows for m, rows in table.groupby("method", sort=False)}
    charts = [_outcomes(by_method)]
    if split.metric == HEADLINE:
        charts = [_cumulative(by_method, colour), _risk(table, colour), *charts]
    charts += [
        _strip(by_method, split.metric, colour),
        _pareto(split, colour),
        _ranks(split, colour),
        _stages(split.rows),
    ]
    return [chart for chart in charts if any(len(series.x) for series in chart.series)]


def _cumulative(by_method: dict[str, pd.DataFrame], colour: dict[str, str]) -> Chart:
    series = []
    for method, rows in by_method.items():
        errors = rows[HEADLINE].where(rows["outcome"] == "ok", np.inf).fillna(np.inf)
        x, y = cumulative(errors.to_numpy())
        recalls = [auc_recall(errors.tolist(), limit) for limit in (5, 10, 25)]
        areas = "/".join(f"{recall:.2f}".removeprefix("0") for recall in recalls)
        inside = x <= 25
        last = 100 * float(y[inside][-1])
        series.append(
            Series(
                f"{method} {areas.replace('.00/.00/.00', '0')}",
                [*x[inside].round(3).tolist(), 25.0],
                [*(100 * y[inside]).round(2).tolist(), last],
                colour[method],
                marker="",
            )
        )
    return Chart(
        "cumulative",
        "How many pairs stay within an error?",
        "Share of all pairs whose mean landmark error stays within the threshold; failures never"
        " do. Higher and further left is better. In the legend: area up to 5, 10 and 25 px.",
        "steps",
        "mean landmark error, px",
        "pairs within it, %",
        series,
        x_range=(0, 25),
        y_range=(-2, 102),
    )


def _risk(table: pd.DataFrame, colour: dict[str, str]) -> Chart:
    series = []
    for curve in risk_coverage(table):
        if curve.method == "identity" or not curve.n_answered:
            continue
        known = not np.isnan(curve.aurc)
        label = f", AURC {curve.aurc:.3f}" if known else ""
        step = max(1, len(curve.coverage) // _MAX_POINTS)
        series.append(
            Series(
                f"{curve.method}: {curve.n_wrong} wrong{label}",
                (100 * curve.coverage[::step]).round(2).tolist(),
                (100 * curve.risk[::step]).round(2).tolist(),
                colour[curve.method],
                marker="" if len(curve.coverage) > 1 else "diamond",
            )
        )
    return Chart(
        "risk-coverage",
        "What does it get wrong without saying so?",
        f"Share of the answers that are off by more than {WRONG_PX:g} px, as a method's least"
        " confident answers are dropped. A line that falls to the left belongs to a method whose"
        " confidence can be believed; a diamond is a method without one. Lower is better.",
        "lines",
        "pairs answered, %",
        "of them wrong, %",
        series,
        x_range=(0, 102),
        y_range=(-2, 102),
    )


def _outcomes(by_method: dict[str, pd.DataFrame]) -> Chart:
    counts: dict[str, list[int]] = {name: [] for name in OUTCOMES}
    for rows in by_method.values():
        named = rows["outcome"].str.replace("_", " ").replace({"ok": "right"})
        named = named.where(named.isin(OUTCOMES), "unanswered")
        named = named.mask(silently_wrong(rows), "silently wrong")
        for name, of_name in counts.items():
            of_name.append(int((named == name).sum()))
    methods = list(by_method)
    series = [
        Series(name, of_name, methods, OUTCOMES[name])
        for name, of_name in counts.items()
        if any(of_name)
    ]
    return Chart(
        "outcomes",
        "What became of the pairs?",
        f"Pairs by outcome. Silently wrong: answered, but off by more than {WRONG_PX:g} px.",
        "bars",
        "pairs",
        "",
        series,
    )


def _strip(by_method: dict[str, pd.DataFrame], metric: str, colour: dict[str, str]) -> Chart:
    series = []
    for method, rows in by_method.items():
        shown = rows[(rows["outcome"] == "ok") & rows.get(metric, pd.Series(dtype=float)).notna()]
        shown = shown.sort_values(metric) if len(shown) else shown
        shown = shown.iloc[:: max(1, len(shown) // _MAX_POINTS)]
        x = shown[metric].round(4).clip(lower=1e-3).tolist() if len(shown) else []
        labels = shown["pair_id"].astype(str).str.slice(0, 60).tolist()
        series.append(Series(method, x, [method] * len(x), colour[method], labels=labels))
    return Chart(
        "errors",
        "How large is the error of each pair?",
        "One point a registered pair, on the same pairs for every method; failures have none.",
        "points",
        _named(metric),
        "",
        series,
        log_x=True,
    )


def _pareto(split: SplitResult, colour: dict[str, str]) -> Chart:
    series = []
    for row in split.rows:
        mean = row.means.get(split.metric)
        if mean is not None and row.latency_ms is not None:
            series.append(
                Series(
                    row.method,
                    [max(row.latency_ms, 1e-3)],
                    [mean.estimate],
                    colour[row.method],
                    [mean.low],
                    [mean.high],
                )
            )
    return Chart(
        "pareto",
        "What does accuracy cost in time?",
        "Mean error over all pairs with its 95 % interval, failures charged the images left as they"
        " are, against the median time of a call. Lower left is better.",
        "points",
        "latency, ms",
        _named(split.metric),
        series,
        log_x=True,
    )


def _ranks(split: SplitResult, colour: dict[str, str]) -> Chart:
    series = [
        Series(s.method, [s.rank], [s.method], colour[s.method], [s.rank_low], [s.rank_high])
        for s in reversed(split.standings)
    ]
    name = "landmark error" if split.metric == HEADLINE else split.metric.upper()
    return Chart(
        "ranks",
        "How firm is the order?",
        f"Rank by the mean {name} with its 95 % range over bootstrap samples of eyes."
        " Ranges that overlap may change places with other eyes.",
        "points",
        "rank, 1 is best",
        "",
        series,
    )


def _named(metric: str) -> str:
    return "mean landmark error, px" if metric == HEADLINE else metric.upper()


def _stages(rows: Sequence[MethodSummary]) -> Chart:
    timed = [row for row in rows if row.stages]
    names = list(dict.fromkeys(name for row in timed for name in row.stages))
    series = [
        Series(
            name,
            [round(row.stages.get(name, 0.0), 3) for row in timed],
            [row.method for row in timed],
            COLOURS[i % len(COLOURS)],
        )
        for i, name in enumerate(names)
    ]
    return Chart(
        "stages",
        "Where does the time go?",
        "Median time of each stage over the answered pairs.",
        "bars",
        "ms",
        "",
        series,
    )
