"""`imedbench compare` and `imedbench verify`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from imedbench.cli.options import (
    DataOption,
    JsonOption,
    PluginsOption,
    RunFolder,
    load_plugins,
    names,
)

if TYPE_CHECKING:
    from imedbench.analysis.comparison import MetricComparison
    from imedbench.analysis.verify import Check

FAILED = 1  # exit code


def compare_command(
    base: Annotated[str, typer.Argument(help="FOLDER or FOLDER@METHOD.", show_default=False)],
    new: Annotated[str, typer.Argument(help="FOLDER or FOLDER@METHOD.", show_default=False)],
    metrics: Annotated[str, typer.Option(help="Comma-separated.")] = "failures,tre_mean,mse",
    fail_if: Annotated[
        list[str] | None,
        typer.Option("--fail-if", help="Exit code 1 if METRIC>+5%, METRIC>+0.5 or METRIC<-5%."),
    ] = None,
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Compare two runs, or two methods, pair by pair.

    Examples:

    imedbench compare runs/synthetic@sift runs/synthetic@ecc

    imedbench compare runs/base runs/new --fail-if "tre_mean>+5%" --fail-if "failures>+0"
    """
    from imedbench.analysis.comparison import Condition, RunSelector, compare_runs
    from imedbench.cli.terminal import remarks

    load_plugins(plugin)
    conditions = [Condition.parse(text) for text in fail_if or []]
    chosen = tuple(dict.fromkeys([*names(metrics), *(c.metric for c in conditions)]))
    rows = compare_runs(RunSelector.parse(base), RunSelector.parse(new), chosen)
    _show_comparison(rows, as_json=json)
    met = [(c, row) for c in conditions for row in rows if c.is_met(row)]
    for condition, row in met:
        remarks.print(f"failed: {condition.text} by {row.method}, {row.split}", highlight=False)
    if met:
        raise typer.Exit(FAILED)


def verify_command(
    run: RunFolder,
    sample: Annotated[int, typer.Option(min=1, help="Rows of each method.")] = 3,
    repeat: Annotated[int, typer.Option(min=1, help="Times each row is computed.")] = 1,
    tolerance: Annotated[float, typer.Option(min=0, help="px; 0 asks for the same bits.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the choice of rows.")] = 0,
    data: DataOption = None,
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Compute a sample of a run's rows again and compare. Exit code 1 when they differ.

    Example:

    imedbench verify runs/synthetic --repeat 3
    """
    from imedbench.analysis.run import open_run
    from imedbench.analysis.verify import verify_run
    from imedbench.cli.terminal import ProgressBar

    plugins = load_plugins(plugin)
    opened = open_run(run, data)
    with ProgressBar("verifying") as progress:
        checks = verify_run(
            opened, sample=sample, repeat=repeat, seed=seed, progress=progress, plugins=plugins
        )
    if not _show_checks(checks, tolerance, as_json=json):
        raise typer.Exit(FAILED)


def _show_comparison(rows: Sequence[MetricComparison], *, as_json: bool) -> None:
    from imedbench.cli.terminal import number, output, print_json, print_table

    if as_json:
        print_json([asdict(row) for row in rows])
        return
    headers = ["method", "metric", "base", "new", "change [95 %]", "p", "verdict"]
    for split in dict.fromkeys(row.split for row in rows):
        part = [row for row in rows if row.split == split]
        cells = [
            [
                row.method,
                row.metric,
                number(row.before, _digits(row)),
                number(row.after, _digits(row)),
                _change(row),
                number(row.p, 3),
                {True: "better", False: "worse", None: "not shown"}[row.better],
            ]
            for row in part
        ]
        print_table(f"new against base: {split}, {part[0].paired.n} pairs", headers, cells)
    output.print(_legend(rows), style="dim", highlight=False)


def _legend(rows: Sequence[MetricComparison]) -> str:
    from imedbench.analysis.best import SIGNIFICANT

    fewest = max(rows, key=lambda row: row.smallest_p)
    n, tests = fewest.paired.n_groups, "1 test" if len(rows) == 1 else f"{len(rows)} tests"
    limit = f"The smallest p that {n} eyes can give in {tests} is {fewest.smallest_p:.2g}"
    limit += ": nothing can be shown." if fewest.smallest_p >= SIGNIFICANT else "."
    return (
        "p: McNemar's exact test for failures, else Wilcoxon signed-rank; Holm-corrected over the"
        f" rows shown. {limit} Failed pairs are charged the score of the images left as they are."
    )


def _change(row: MetricComparison) -> str:
    from imedbench.cli.terminal import number

    if row.metric == "failures":
        return f"{row.after - row.before:+.0f}"
    difference, digits = row.paired.mean_difference, _digits(row)
    low, high = number(difference.low, digits), number(difference.high, digits)
    return f"{difference.estimate:+.{digits}f} [{low}, {high}]"


def _digits(row: MetricComparison) -> int:
    """Decimals that a metric of this size needs."""
    if row.metric == "failures":
        return 0
    return 2 if max(abs(row.before), abs(row.after)) >= 1 else 3


def _show_checks(checks: Sequence[Check], tolerance_px: float, *, as_json: bool) -> bool:
    """Print a row for each check, and say whether all agree."""
    from imedbench.cli.terminal import print_json, print_table

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
