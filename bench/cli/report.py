"""`imedbench report` and `imedbench view`: pages about runs and sweeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from imedbench.cli.options import (
    DataOption,
    ForceOption,
    JsonOption,
    PluginsOption,
    load_plugins,
)

if TYPE_CHECKING:
    from imedbench.analysis.run import Run


class Format(StrEnum):
    """What a page can be."""

    MARKDOWN = "md"
    HTML = "html"
    BOTH = "both"


RunFolders = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...", help="Folders of runs, or one of a sweep.", show_default=False
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder for the page; the run's if left out."),
]
LatencyOption = Annotated[
    bool, typer.Option("--latency/--no-latency", help="Show times; of several runs, one machine.")
]
PairOption = Annotated[
    list[str] | None,
    typer.Option("--pair", metavar="ID", help="Draw this pair first, in report.html."),
]


def report_command(
    runs: RunFolders,
    format: Annotated[Format, typer.Option("--format", "-f", help="Kind of page.")] = (
        Format.MARKDOWN
    ),
    out: OutOption = None,
    pair: PairOption = None,
    latency: LatencyOption = True,
    force: ForceOption = False,
    data: DataOption = None,
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Write a page about a run: report.md, or report.html in one file for any browser.

    Several runs on the same pairs make one page, or a line that says why they cannot be compared.
    Exit code 3 when pairs have no answer.

    Examples:

    imedbench report runs/synthetic

    imedbench report runs/ours runs/theirs --format html --out runs/both
    """
    from imedbench.analysis.tables import incomplete
    from imedbench.cli.score import end_by
    from imedbench.cli.terminal import print_json

    load_plugins(plugin)
    gaps = ""
    if _is_sweep(runs):
        written = _write_sweep(runs[0], out, format, force=force)
    else:
        with open_together(runs, out, data, latency=latency) as opened:
            _claim("report", runs, out, format, force=force)
            written = write_pages(opened, out or runs[0], format, pair or ())
            gaps = incomplete(opened.table())
    if json:
        print_json({"written": [str(page) for page in written], "complete": not gaps, "gaps": gaps})
    else:
        _name(written)
    end_by(gaps)


def view_command(
    runs: RunFolders,
    out: OutOption = None,
    pair: PairOption = None,
    latency: LatencyOption = True,
    force: ForceOption = False,
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
    load_plugins(plugin)
    if _is_sweep(runs):
        written = _write_sweep(runs[0], out, Format.HTML, force=force)
    else:
        with open_together(runs, out, data, latency=latency) as opened:
            _claim("report", runs, out, Format.HTML, force=force)
            written = write_pages(opened, out or runs[0], Format.HTML, pair or ())
    _name(written)
    if browser:
        typer.launch(str(written[-1].resolve()))


@contextmanager
def open_together(
    runs: list[Path], out: Path | None, data: str | None, *, latency: bool
) -> Iterator[Run]:
    """Open a run, or several as the one that `imedbench merge` makes of them.

    Raises:
        BadInput: when several cannot be compared, or no folder for their page is given.
    """
    from imedbench.analysis.run import open_run
    from imedbench.core.errors import BadInput
    from imedbench.runs.merge import merge_runs

    if len(runs) == 1:
        yield open_run(runs[0], data)
        return
    if out is None:
        raise BadInput("the page of several runs needs a folder: say --out FOLDER")
    with TemporaryDirectory(prefix="imedbench-") as kept:
        together = Path(kept) / "merged"
        merge_runs(runs, together, latency=latency)
        opened = open_run(together, data)
        with closing(opened.store):
            yield opened


def _claim(page: str, runs: list[Path], out: Path | None, kind: Format, *, force: bool) -> None:
    """Refuse to write over what is not a page of ours."""
    from imedbench.runs.output import claim

    if out is None:
        return
    endings = {Format.MARKDOWN: ["md"], Format.HTML: ["html"], Format.BOTH: ["md", "html"]}[kind]
    names = [f"{page}.{ending}" for ending in endings]
    claim(out, names, runs, force=force)


def _is_sweep(runs: list[Path]) -> bool:
    from imedbench.analysis.sweep import FILE as SWEEP
    from imedbench.runs.config import FILE as RUN

    return len(runs) == 1 and (runs[0] / SWEEP).is_file() and not (runs[0] / RUN).exists()


def _write_sweep(folder: Path, out: Path | None, kind: Format, *, force: bool) -> list[Path]:
    from imedbench.analysis.sweep import read_sweep
    from imedbench.reports.page import write_sweep_page
    from imedbench.reports.report import make_folder
    from imedbench.reports.sweep import write_sweep

    swept, target = read_sweep(folder), out or folder
    _claim("sweep", [folder], out, kind, force=force)
    make_folder(target)
    written = [] if kind is Format.HTML else [write_sweep(swept, target)]
    return written if kind is Format.MARKDOWN else [*written, write_sweep_page(swept, target)]


def _name(written: list[Path]) -> None:
    from imedbench.cli.terminal import output

    for page in written:
        output.print(f"wrote {page}", highlight=False, soft_wrap=True)


def write_pages(run: Run, folder: Path, kind: Format, wanted: Sequence[str] = ()) -> list[Path]:
    """Write the pages of one kind, or of both, with these pairs before all others in the HTML."""
    from imedbench.cli.terminal import ProgressBar

    written = []
    with ProgressBar("drawing") as progress:
        if kind is not Format.HTML:
            from imedbench.reports.report import write_report

            written.append(write_report(run, folder, progress))
        if kind is not Format.MARKDOWN:
            from imedbench.reports.page import write_page

            written.append(write_page(run, folder, progress, wanted))
    return written
