"""`imedbench merge`: one table and one page of many runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imedbench.cli.options import DataOption, JsonOption, PluginsOption, load_plugins


def merge_command(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder.")],
    latency: Annotated[
        bool, typer.Option("--latency/--no-latency", help="Keep times; of one machine only.")
    ] = True,
    data: DataOption = None,
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Lay runs on the same pairs, or all shards of one run, together, or say why they do not fit.

    Examples:

    imedbench merge runs/ours runs/theirs --out runs/leaderboard

    imedbench merge runs/fire-*-of-8 --out runs/fire
    """
    from imedbench.analysis.run import open_run
    from imedbench.cli.score import show_run
    from imedbench.runs.merge import merge_runs

    load_plugins(plugin)
    merge_runs(runs, out, latency=latency)
    opened = open_run(out, data)
    show_run(opened, page=not json, as_json=json)
