"""`imedbench report`: the page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imedbench.cli.options import DataOption, PluginsOption, RunFolder, load_plugins


def report_command(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for report.md and its pictures.", show_default="RUN"
        ),
    ] = None,
    data: DataOption = None,
    plugin: PluginsOption = None,
) -> None:
    """Write report.md with tables and pictures. Exit code 3 when pairs have no answer.

    Example:

    imedbench report runs/synthetic
    """
    from imedbench.analysis.run import open_run
    from imedbench.analysis.tables import incomplete
    from imedbench.cli.run import end_by
    from imedbench.cli.show import ProgressBar, output
    from imedbench.reports.report import write_report

    load_plugins(plugin)
    with ProgressBar("drawing") as progress:
        opened = open_run(run, data)
        page = write_report(opened, out or run, progress)
    output.print(f"wrote {page}", highlight=False)
    end_by(incomplete(opened.table()))
