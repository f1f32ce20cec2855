"""How results look in a terminal."""

from __future__ import annotations

import json
import math
import sys
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from imedbench.reports.formats import number

__all__ = ["ProgressBar", "number", "output", "print_json", "print_table", "remarks"]

#: Progress and remarks go to stderr, so that what a command prints can be piped.
#: Names and reasons may hold brackets, which are no markup.
remarks = Console(stderr=True, markup=False, soft_wrap=True)
output = Console(width=None if sys.stdout.isatty() else 100, markup=False)


class ProgressBar:
    """A progress bar with the time left, as the progress of a run."""

    def __init__(self, title: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=remarks,
            transient=True,
            disable=not remarks.is_terminal,
        )
        self._title = title
        self._task = self._progress.add_task(title, total=None)

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, total: int) -> None:
        """Set the number of rows."""
        self._progress.update(self._task, total=total)

    def method(self, spec: str) -> None:
        """Show which method comes next."""
        self._progress.update(self._task, description=f"{self._title} {spec}")

    def row(self, method: str, pair_id: str) -> None:
        """One more row."""
        self._progress.advance(self._task)


_LONGEST_NAME = 36


def print_table(title: str, headers: list[str], rows: list[list[str]]) -> None:
    """Print a table; columns after the first are right-aligned where they hold numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for index, header in enumerate(headers):
        numeric = index > 0 and all(_is_number(row[index]) for row in rows)
        # Names are what a person types next: they are kept on a line, unless that leaves no room
        # for the figures.
        on_a_line = index == 0 and all(len(row[0]) <= _LONGEST_NAME for row in rows)
        table.add_column(
            header,
            justify="right" if numeric else "left",
            no_wrap=on_a_line or numeric,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*row)
    output.print(table)


def print_json(content: Any) -> None:
    """Print JSON, with null for what is not a finite number."""
    print(json.dumps(_finite(content), indent=2, ensure_ascii=False))


def _is_number(cell: str) -> bool:
    return bool(cell) and cell[0] in "0123456789–-∞+" and len(cell) < 20


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
