"""How comparisons and checks look in a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from imedbench.analysis.comparison import MetricComparison
from imedbench.analysis.verify import Check
from imedbench.cli.show import number, output, print_json, print_table


def show_comparison(rows: Sequence[MetricComparison], *, as_json: bool) -> None:
    """Print a row for each method, split and metric."""
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    for split in dict.fromkeys(row.split for row in rows):
        of_split = [row for row in rows if row.split == split]
        _print_split(split, of_split)
    output.print(
        "p: Wilcoxon signed-rank, Holm-corrected; for failures McNemar's exact test. Not shown: no"
        " difference beyond chance. Failed pairs are charged the score of the images left as they"
        " are.",
        style="dim",
        highlight=False,
    )


def _print_split(split: str, rows: Sequence[MetricComparison]) -> None:
    headers = ["method", "metric", "base", "new", "change [95 %]", "p", "verdict"]
    cells = [
        [
            row.method,
            row.metric,
            number(row.before, _digits(row)),
            number(row.after, _digits(row)),
            _change(row),
            number(row.paired.p_mcnemar if row.metric == "failures" else row.p, 3),
            {True: "better", False: "worse", None: "not shown"}[row.better],
        ]
        for row in rows
    ]
    print_table(f"new against base: {split}, {rows[0].paired.n} pairs", headers, cells)


def show_checks(checks: Sequence[Check], tolerance_px: float, *, as_json: bool) -> bool:
    """Print a row for each check.

    Returns:
        Whether all agree.
    """
    agree = [check.agrees(tolerance_px) for check in checks]
    if as_json:
        print_json([{**asdict(c), "agrees": ok} for c, ok in zip(checks, agree, strict=True)])
        return all(agree)
    headers = ["method", "split", "pair", "outcome", "largest px", "differs in", "agrees"]
    rows = [
        [
            c.method,
            c.split,
            c.pair_id,
            str(c.stored),
            "–" if math.isnan(c.largest_px) else f"{c.largest_px:.2g}",
            c.varies or "nothing",
            "yes" if ok else "NO",
        ]
        for c, ok in zip(checks, agree, strict=True)
    ]
    print_table(f"computed again: {sum(agree)} of {len(agree)} rows agree", headers, rows)
    return all(agree)


def _change(row: MetricComparison) -> str:
    if row.metric == "failures":
        return f"{row.after - row.before:+.0f}"
    difference, digits = row.paired.mean_difference, _digits(row)
    return (
        f"{difference.estimate:+.{digits}f}"
        f" [{number(difference.low, digits)}, {number(difference.high, digits)}]"
    )


def _digits(row: MetricComparison) -> int:
    """Decimals that a metric of this size needs."""
    if row.metric == "failures":
        return 0
    return 2 if max(abs(row.before), abs(row.after)) >= 1 else 3
