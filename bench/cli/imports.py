"""`imedbench import`: a method that ran elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imedbench.cli.options import (
    DataOption,
    JsonOption,
    PluginsOption,
    RunFolder,
    load_plugins,
)


def import_command(
    run: RunFolder,
    csv: Annotated[Path, typer.Argument(help="One line a pair.", show_default=False)],
    method: Annotated[str, typer.Option("--method", "-m", help="Its name in the run.")],
    data: DataOption = None,
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Bring the results of a method that ran elsewhere into a run, marked as imported.

    Each line has a pair_id with a transform (JSON of a 3×3 matrix from moving to fixed pixels), or
    errors in columns named as metrics; a line without either is a failure. Transforms are scored
    like any other.

    Example:

    imedbench import runs/mine results.csv --method matlab-tool
    """
    from imedbench.analysis.run import open_run
    from imedbench.cli.score import score_and_show
    from imedbench.core.registry import METRICS
    from imedbench.runs.executors import Execution
    from imedbench.runs.imports import import_results
    from imedbench.runs.scoring import Guard

    plugins = load_plugins(plugin)
    opened = open_run(run, data)
    with opened.store.only_writer():
        import_results(opened.store, csv, method, METRICS.names())
    scored = opened.store.read("SELECT DISTINCT metric FROM scores")["metric"]
    known = [name for name in scored if name in METRICS.names()]
    guard = Guard(Execution(), plugins)
    score_and_show(opened, tuple(known), guard, page=False, as_json=json)
