"""`imedbench run` and `imedbench score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from imedbench.cli.options import (
    AcceptOption,
    DataOption,
    DeviceOption,
    JsonOption,
    PluginsOption,
    RunFolder,
    SplitChoice,
    SubsetChoice,
    TimeoutOption,
    check_device,
    load_plugins,
    names,
    note_acceptance,
)

if TYPE_CHECKING:
    import pandas as pd

    from imedbench.analysis.run import Run
    from imedbench.analysis.tables import MethodSummary
    from imedbench.runs.config import RunConfig

DEFAULT_DATA = "synthetic"
# Repeatable to the bit, all of them; ecc is not.
DEFAULT_METHODS = "identity,sift,superpoint-superglue,imed"
INCOMPLETE = 3  # exit code


def run_command(
    data: Annotated[
        str,
        typer.Option("--data", "-d", help="Data set by name, NAME:OPTION=VALUE, or path."),
    ] = DEFAULT_DATA,
    split: Annotated[
        SplitChoice, typer.Option(help="CF with OCTA, OCTA with OCTA-like, or both.")
    ] = SplitChoice.BOTH,
    methods: Annotated[
        str,
        typer.Option("--methods", "-m", help="Comma-separated; options as NAME:OPTION=VALUE."),
    ] = DEFAULT_METHODS,
    metrics: Annotated[str, typer.Option(help="Comma-separated metrics, or all.")] = "all",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Run folder; runs/DATA if left out", show_default=False),
    ] = None,
    subset: Annotated[
        SubsetChoice, typer.Option(help="Pairs marked train or test, or all of them.")
    ] = SubsetChoice.ALL,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most this many pairs a split.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Base of every random number.")] = 0,
    device: DeviceOption = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads a worker.")] = 1,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes; with more than one no latency is reported.")
    ] = 1,
    timeout: TimeoutOption = 60.0,
    plugin: PluginsOption = None,
    accept_license: AcceptOption = False,
    diagnostics: Annotated[
        bool, typer.Option(help="Keep the pictures methods make, for the report.")
    ] = True,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Replace rows made in another way.")
    ] = False,
    swapped: Annotated[
        bool,
        typer.Option("--swapped", help="Register each pair both ways, for inverse_consistency."),
    ] = False,
    page: Annotated[
        bool, typer.Option("--page/--no-page", help="Write report.html at the end.")
    ] = True,
    json: JsonOption = False,
) -> None:
    """Run methods on pairs, score them and print the table. The same command again resumes.

    Examples:

    imedbench run

    imedbench run --data my/pairs.csv --methods identity,sift --out runs/mine
    """
    from imedbench.core.registry import METRICS
    from imedbench.core.types import SPLITS, Split
    from imedbench.runs.config import RunConfig, default_folder

    plugins = load_plugins(plugin)
    note_acceptance(accept_license)
    config = RunConfig(
        data=data,
        methods=names(methods),
        out=out or default_folder(data),
        splits=SPLITS if split is SplitChoice.BOTH else (cast(Split, split.value),),
        subset=subset.value,
        limit=limit,
        seed=seed,
        device=check_device(device),
        threads=threads,
        workers=workers,
        timeout_s=timeout,
        plugins=plugins,
        diagnostics=diagnostics,
        recompute=recompute,
        swapped=swapped,
    )
    chosen = tuple(METRICS.names()) if metrics == "all" else names(metrics)
    _run(
        config,
        chosen,
        every_split=split is SplitChoice.BOTH,
        page=page and not json,
        as_json=json,
    )


def score_command(
    run: RunFolder,
    metrics: Annotated[str, typer.Option(help="Comma-separated metrics, or all.")] = "all",
    data: DataOption = None,
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Score stored predictions again, with other metrics or a corrected ground truth.

    Example:

    imedbench score runs/synthetic --metrics tre_mean,dice
    """
    from imedbench.analysis.run import open_run
    from imedbench.core.registry import METRICS

    load_plugins(plugin)
    opened = open_run(run, data)
    chosen = tuple(METRICS.names()) if metrics == "all" else names(metrics)
    _score_and_show(opened, chosen, page=False, as_json=json)


def _run(
    config: RunConfig, metrics: tuple[str, ...], *, every_split: bool, page: bool, as_json: bool
) -> None:
    from imedbench.analysis.run import open_run
    from imedbench.cli.show import ProgressBar, remarks
    from imedbench.core.datasets import open_dataset
    from imedbench.core.registry import METRICS
    from imedbench.runs.config import offered_splits
    from imedbench.runs.pairs import KeptPairs
    from imedbench.runs.runner import run

    for metric in metrics:
        METRICS.factory(metric)
    dataset = KeptPairs(open_dataset(config.data))
    config, missing = offered_splits(config, dataset, every_split)
    for text in missing:
        remarks.print(f"note: {text}", style="dim", highlight=False)
    try:
        with ProgressBar("running") as progress:
            run(config, dataset, progress)
    except KeyboardInterrupt:
        remarks.print("interrupted; every finished pair is stored, the same command goes on")
        raise typer.Exit(INCOMPLETE) from None
    _score_and_show(open_run(config.out, dataset=dataset), metrics, page=page, as_json=as_json)


def _score_and_show(run: Run, metrics: tuple[str, ...], *, page: bool, as_json: bool) -> None:
    from imedbench.analysis.run import score_run
    from imedbench.analysis.tables import incomplete, pair_table, summarise
    from imedbench.cli.show import ProgressBar, print_json

    with ProgressBar("scoring") as progress:
        score_run(run, metrics, progress)
    table = pair_table(run.store)
    gaps, summaries = incomplete(table), summarise(table)
    if as_json:
        content = {
            "run": str(run.folder),
            "complete": not gaps,
            "warnings": run.warnings(),
            "summary": [summary.as_dict() for summary in summaries],
            "provenance": run.settings["provenance"],
        }
        print_json(content)
    else:
        _print_run(run, table, summaries, page=page)
    end_by(gaps)


def _print_run(
    run: Run, table: pd.DataFrame, summaries: list[MethodSummary], *, page: bool
) -> None:
    """Print a table a split, what each means in one line, what to know, and where the page is."""
    from imedbench.analysis.best import judge_split
    from imedbench.cli.report import Format, write_pages
    from imedbench.cli.show import output
    from imedbench.reports.report import headline

    for split in dict.fromkeys(summary.split for summary in summaries):
        part = [summary for summary in summaries if summary.split == split]
        _print_split(f"{run.dataset.info.name}, {split}", part)
        output.print(f"{headline(judge_split(table, part)).replace('`', '')}\n", highlight=False)
    for warning in run.warnings():
        output.print(f"warning: {warning}", style="yellow", highlight=False)
    output.print(f"{_licences(run)} {_LEGEND}", style="dim", highlight=False)
    if page:
        (written,) = write_pages(run, run.folder, Format.HTML)
        output.print(f"Page: {written}", highlight=False, soft_wrap=True)
    else:
        output.print(f"Page by: imedbench view {run.folder}", highlight=False, soft_wrap=True)


_LEGEND = (
    "MSE, RMSE: of vessel maps. A failed pair is charged the score of the pair left as it is; 'ok'"
    " means are over the successes. Latency: median of the calls, timed alone."
)


def _print_split(title: str, rows: list[MethodSummary]) -> None:
    """Print the seed's table with landmark errors, then the metrics that plugins brought."""
    from imedbench.analysis.tables import is_built_in
    from imedbench.cli.show import print_table
    from imedbench.reports.formats import interval, milliseconds, number

    headers = ["method", "MSE", "RMSE", "failures", "TRE px", "TRE px ok", "latency ms"]
    cells = [
        [
            row.method,
            number(row.mean("mse"), 3),
            number(row.mean("rmse"), 3),
            row.failure_text,
            number(row.mean("tre_mean")),
            number(row.means_ok.get("tre_mean")),
            milliseconds(row.latency_ms),
        ]
        for row in rows
    ]
    print_table(title, headers, cells)
    names = dict.fromkeys(name for row in rows for name in row.means if not is_built_in(name))
    if names:
        cells = [[r.method, *(interval(r.means.get(n), 3) for n in names)] for r in rows]
        print_table(f"{title}: other metrics", ["method", *names], cells)


def _licences(run: Run) -> str:
    """Say under which licences the weights of the methods are."""
    by_method = {
        spec: info.weights_licence
        for spec, info in run.store.methods().items()
        if info is not None and info.weights_licence != "none"
    }
    named = ", ".join(f"{spec} {licence}" for spec, licence in by_method.items())
    return f"Licences of weights: {named or 'no method has any'}."


def end_by(gaps: str) -> None:
    """End with 3, saying why, where a run is incomplete."""
    from imedbench.cli.show import remarks

    if gaps:
        remarks.print(f"INCOMPLETE: {gaps}", style="yellow", highlight=False)
        raise typer.Exit(INCOMPLETE)
