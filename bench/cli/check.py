"""`imedbench check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imedbench.cli.options import PluginsOption, load_plugins

FAULTY = 1  # exit code


def check_command(
    what: Annotated[
        str, typer.Argument(help="A method, or a file with some.", metavar="NAME|FILE.py")
    ],
    plugin: PluginsOption = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="A call may take.")] = 60.0,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Print all of each traceback.")
    ] = False,
) -> None:
    """Check that a method keeps to its contract, and say in plain words where it does not.

    It is called on small drawn images: grey and colour, of equal and unequal sizes, blank and tiny,
    and on a known motion, which shows transforms that point the wrong way.

    Example:

    imedbench check my_method.py
    """
    from imedbench.core.errors import BadInput
    from imedbench.core.registry import METHODS
    from imedbench.runs.conformance import check_method

    load_plugins(plugin)
    names = [what]
    if what.endswith(".py"):
        before = set(METHODS.names())
        load_plugins([Path(what)])
        names = sorted(set(METHODS.names()) - before)
        if not names:
            raise BadInput(f"{what}: registers no method; put @register_method(…) above a function")
    reports = [check_method(name, seconds) for name in names]
    for report in reports:
        for text in report.passed:
            typer.echo(f"ok     {text}")
        for text in report.remarks:
            typer.echo(f"note   {text}")
        for fault in report.faults:
            typer.echo(f"FAULT  {fault.check}: {fault.text}")
            if fault.line:
                typer.echo(f"       {fault.line}")
            if traceback and fault.trace:
                typer.echo(fault.trace)
        count = len(report.faults)
        typer.echo(f"{report.name}: " + (f"{count} faults" if count != 1 else "1 fault"))
    if any(report.faults for report in reports):
        raise typer.Exit(FAULTY)
