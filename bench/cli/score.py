"""`imedbench score`, and how the outcome of a run looks in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, cast

import typer

from imedbench.cli.options import (
    AddressOption,
    DataOption,
    ExecutorOption,
    JsonOption,
    MemoryOption,
    PluginsOption,
    RunFolder,
    TimeoutOption,
    WorkersOption,
    load_plugins,
    names,
)

if TYPE_CHECKING:
    import pandas as pd

    from imedbench.analysis.run import Run
    from imedbench.analysis.tables import MethodSummary
    from imedbench.runs.scoring import Guard

INCOMPLETE = 3  # exit code


@contextmanager
def ends_when_interrupted() -> Iterator[None]:
    """Say after Ctrl-C that nothing is lost, and end with 3."""
    from imedbench.cli.terminal import remarks

    try:
        yield
    except KeyboardInterrupt:
        remarks.print("interrupted; every finished pair is stored, the same command goes on")
        raise typer.Exit(INCOMPLETE) from None


def score_command(
    run: RunFolder,
    metrics: Annotated[str, typer.Option(help="Comma-separated metrics, or all.")] = "all",
    data: DataOption = None,
    workers: WorkersOption = 1,
    executor: ExecutorOption = "processes",
    address: AddressOption = None,
    timeout: TimeoutOption = 60.0,
    memory: MemoryOption = None,
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Score stored predictions again, with other metrics or a corrected ground truth.

    Example:

    imedbench score runs/synthetic --metrics tre_mean,dice
    """
    from imedbench.analysis.run import open_run
    from imedbench.core.registry import METRICS
    from imedbench.runs.executors import Execution, Kind
    from imedbench.runs.scoring import Guard

    execution = Execution(cast(Kind, executor), workers, address)
    guard = Guard(execution, load_plugins(plugin), timeout, memory)
    opened = open_run(run, data)
    chosen = tuple(METRICS.names()) if metrics == "all" else names(metrics)
    score_and_show(opened, chosen, guard, page=False, as_json=json)


def score_and_show(
    run: Run, metrics: tuple[str, ...], guard: Guard, *, page: bool, as_json: bool
) -> None:
    """Bring the scores up to date and print what came out; end with 3 where answers are missing."""
    from imedbench.analysis.run import score_run
    from imedbench.cli.terminal import ProgressBar

    with ProgressBar("scoring") as progress:
        score_run(run, metrics, progress, guard)
    show_run(run, page=page, as_json=as_json)


def show_run(run: Run, *, page: bool, as_json: bool) -> None:
    """Print what came out of a run; end with 3 where answers are missing."""
    from imedbench.analysis.tables import incomplete, pair_table, summarise
    from imedbench.cli.terminal import print_json

    table = pair_table(run.store)
    gaps, summaries = incomplete(table), summarise(table)
    if as_json:
        content = {
            "run": str(run.folder),
            "complete": not gaps,
            "warnings": run.warnings(),
            "remarks": run.remarks(),
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
    from imedbench.cli.terminal import output
    from imedbench.reports.report import headline

    for split in dict.fromkeys(summary.split for summary in summaries):
        part = [summary for summary in summaries if summary.split == split]
        _print_split(f"{run.dataset.info.name}, {split}", part)
        output.print(f"{headline(judge_split(table, part)).replace('`', '')}\n", highlight=False)
    for remark in run.remarks():
        output.print(f"note: {remark}", style="dim", highlight=False)
    for warning in run.warnings():
        output.print(f"warning: {warning}", style="yellow", highlight=False)
    output.print(f"{_licences(run)} {_LEGEND}", style="dim", highlight=False)
    if page:
        written = run.folder / "report.html"
        if run.has_news or not written.is_file():  # a finished run is resumed without an image
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
    from imedbench.cli.terminal import print_table
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
    from imedbench.cli.terminal import remarks

    if gaps:
        remarks.print(f"INCOMPLETE: {gaps}", style="yellow", highlight=False)
        raise typer.Exit(INCOMPLETE)
