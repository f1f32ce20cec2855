"""`imedbench compare` and `imedbench verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from imedbench.cli.options import (
    DataOption,
    JsonOption,
    PluginsOption,
    RunFolder,
    load_plugins,
    names,
)

FAILED = 1  # exit code


def compare_command(
    base: Annotated[str, typer.Argument(help="FOLDER or FOLDER@METHOD.", show_default=False)],
    new: Annotated[str, typer.Argument(help="FOLDER or FOLDER@METHOD.", show_default=False)],
    metrics: Annotated[str, typer.Option(help="Comma-separated.")] = "failures,tre_mean,mse",
    fail_if: Annotated[
        list[str] | None,
        typer.Option("--fail-if", help="Exit code 1 if METRIC>+5%, METRIC>+0.5 or METRIC<-5%."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare two runs, or two methods, pair by pair.

    Examples:

    imedbench compare runs/synthetic@sift runs/synthetic@ecc

    imedbench compare runs/base runs/new --fail-if "tre_mean>+5%" --fail-if "failures>+0"
    """
    from imedbench.analysis.comparison import Condition, RunSelector, compare_runs
    from imedbench.cli.comparison import show_comparison
    from imedbench.cli.show import remarks

    conditions = [Condition.parse(text) for text in fail_if or []]
    chosen = tuple(dict.fromkeys([*names(metrics), *(c.metric for c in conditions)]))
    rows = compare_runs(RunSelector.parse(base), RunSelector.parse(new), chosen)
    show_comparison(rows, as_json=json)
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
    from imedbench.cli.comparison import show_checks
    from imedbench.cli.show import ProgressBar

    plugins = load_plugins(plugin)
    opened = open_run(run, data)
    with ProgressBar("verifying") as progress:
        checks = verify_run(
            opened, sample=sample, repeat=repeat, seed=seed, progress=progress, plugins=plugins
        )
    if not show_checks(checks, tolerance, as_json=json):
        raise typer.Exit(FAILED)
