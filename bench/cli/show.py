"""`imedbench show`: one pair under one method."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from imedbench.cli.options import JsonOption, RunFolder


def show_command(
    run: RunFolder,
    pair: Annotated[str, typer.Argument(help="Id of the pair.", show_default=False)],
    method: Annotated[str, typer.Argument(help="Method as in the run.", show_default=False)],
    json: JsonOption = False,
) -> None:
    """Print all that a run keeps of one pair under one method, a crash with its traceback.

    Example:

    imedbench show runs/synthetic eye-3 sift:ratio=0.7
    """
    from imedbench.analysis.row import find_rows
    from imedbench.cli.terminal import print_json

    rows = find_rows(run, pair, method)
    if json:
        print_json([{**asdict(row), "log": row.log and str(row.log)} for row in rows])
        return
    for row in rows:
        typer.echo(row)
        if row.outcome != "ok" and row.log:
            typer.echo(f"  what it printed: {row.log}")
