"""`imedbench report` and `imedbench view`: pages about a run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imedbench.cli.options import DataOption, JsonOption, PluginsOption, RunFolder, load_plugins

if TYPE_CHECKING:
    from imedbench.analysis.run import Run


class Format(StrEnum):
    """What a page can be."""

    MARKDOWN = "md"
    HTML = "html"
    BOTH = "both"


def report_command(
    run: RunFolder,
    format: Annotated[Format, typer.Option("--format", "-f", help="Kind of page.")] = (
        Format.MARKDOWN
    ),
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the page.", show_default="RUN"),
    ] = None,
    data: DataOption = None,
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Write a page about a run: report.md, or report.html in one file for any browser.

    Exit code 3 when pairs have no answer.

    Examples:

    imedbench report runs/synthetic

    imedbench report runs/synthetic --format html
    """
    from imedbench.analysis.run import open_run
    from imedbench.analysis.tables import incomplete
    from imedbench.cli.score import end_by
    from imedbench.cli.show import output, print_json

    load_plugins(plugin)
    opened = open_run(run, data)
    written = write_pages(opened, out or run, format)
    gaps = incomplete(opened.table())
    if json:
        print_json({"written": [str(page) for page in written], "complete": not gaps, "gaps": gaps})
    else:
        for page in written:
            output.print(f"wrote {page}", highlight=False)
    end_by(gaps)


def view_command(
    run: RunFolder,
    data: DataOption = None,
    plugin: PluginsOption = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open it, or only say where it is.")
    ] = True,
) -> None:
    """Write report.html and open it in the browser.

    Example:

    imedbench view runs/synthetic
    """
    from imedbench.analysis.run import open_run
    from imedbench.cli.show import output

    load_plugins(plugin)
    (page,) = write_pages(open_run(run, data), run, Format.HTML)
    output.print(f"wrote {page}", highlight=False)
    if browser:
        typer.launch(str(page.resolve()))


def write_pages(run: Run, folder: Path, kind: Format) -> list[Path]:
    """Write the pages of one kind, or of both."""
    from imedbench.cli.show import ProgressBar

    written = []
    with ProgressBar("drawing") as progress:
        if kind is not Format.HTML:
            from imedbench.reports.report import write_report

            written.append(write_report(run, folder, progress))
        if kind is not Format.MARKDOWN:
            from imedbench.reports.page import write_page

            written.append(write_page(run, folder, progress))
    return written
