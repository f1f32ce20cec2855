"""`imedbench check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from imedbench.cli.options import PluginsOption, load_plugins

if TYPE_CHECKING:
    from imedbench.runs.conformance import Report

FAULTY = 1  # exit code


def check_command(
    what: Annotated[
        str,
        typer.Argument(
            help="A method, metric or data set with its options, or a file with some.",
            metavar="NAME|FILE.py",
        ),
    ],
    plugin: PluginsOption = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="A call may take.")] = 60.0,
    memory: Annotated[
        float, typer.Option(min=0.01, help="GiB that a call may take beyond what is held before.")
    ] = 4.0,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Print all of each traceback.")
    ] = False,
) -> None:
    """Check that a plugin keeps to its contract, and say in plain words where it does not.

    A method is called on small drawn images: grey and colour, of equal and unequal sizes, blank and
    tiny, and on a known motion, which shows transforms that point the wrong way. A metric measures
    pairs whose right transform is known. Of a data set, pairs are read and compared with what it
    lists. Exit code 1 when there is a fault.

    Examples:

    imedbench check my_method.py

    imedbench check my_metric --plugin my_metric.py --seconds 1

    imedbench check my-data:root=FOLDER
    """
    from imedbench.runs.conformance import Limits, check_plugins

    load_plugins(plugin)
    reports = check_plugins(what, Limits(seconds, memory))
    for report in reports:
        _print(report, traceback=traceback)
    if any(report.faults for report in reports):
        raise typer.Exit(FAULTY)


def _print(report: Report, *, traceback: bool) -> None:
    for text in report.passed:
        typer.echo(f"ok     {text}")
    for text in report.remarks:
        typer.echo(f"note   {text}")
    groups = report.grouped()
    for text, (first, *others) in groups.items():
        typer.echo(f"FAULT  {first.check}: {text}")
        if first.line:
            typer.echo(f"       {first.line}")
        if others:
            typer.echo(f"       also: {', '.join(dict.fromkeys(f.check for f in others))}")
        if traceback and first.trace:
            typer.echo(first.trace)
    count = len(groups)
    typer.echo(f"{report.name}, a {report.kind}: {count} fault{'s' * (count != 1)}")
