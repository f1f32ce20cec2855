"""`imedbench export`: a run as files for other programs and for a paper."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imedbench.cli.options import DataOption, ForceOption, PluginsOption, RunFolder, load_plugins


class Table(StrEnum):
    """What rows and summaries are written as."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"
    LATEX = "latex"
    MARKDOWN = "md"


class Figures(StrEnum):
    """What charts are written as."""

    PDF = "pdf"
    SVG = "svg"
    PNG = "png"


def export_command(
    run: RunFolder,
    format: Annotated[Table, typer.Option("--format", "-f", help="Kind of table.")] = Table.CSV,
    figures: Annotated[
        Figures | None, typer.Option(help="Charts too, at 300 dpi.", show_default=False)
    ] = None,
    bibtex: Annotated[bool, typer.Option("--bibtex", help="Sources of what was used.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder.", show_default="RUN/export")
    ] = None,
    force: ForceOption = False,
    data: DataOption = None,
    plugin: PluginsOption = None,
) -> None:
    """Write every row, and every metric and protocol with its intervals.

    Exit code 3 when pairs have no answer.

    Examples:

    imedbench export runs/synthetic --format csv

    imedbench export runs/synthetic --format latex --figures pdf --bibtex
    """
    from imedbench.analysis.run import open_run
    from imedbench.analysis.tables import incomplete
    from imedbench.cli.score import end_by
    from imedbench.cli.terminal import output
    from imedbench.reports.export import export

    load_plugins(plugin)
    opened = open_run(run, data)
    drawn = figures.value if figures else None
    for path in export(opened, out or run / "export", format.value, drawn, bibtex, force=force):
        output.print(f"wrote {path}", highlight=False, soft_wrap=True)
    end_by(incomplete(opened.table()))
