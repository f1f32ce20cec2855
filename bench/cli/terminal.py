"""How results look in a terminal."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from imedbench.cli.progress import ProgressBar
from imedbench.reports.formats import number

__all__ = ["ProgressBar", "number", "output", "print_json", "print_table", "remarks"]

#: Progress and remarks go to stderr, so that what a command prints can be piped.
#: Names and reasons may hold brackets, which are no markup.
remarks = Console(stderr=True, markup=False, soft_wrap=True)
#: A pipe has no width of its own; who sets COLUMNS is obeyed.
output = Console(
    width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 100, markup=False
)


_NAME_WIDTH = 24  # a first column may be folded to this, or to a third of the width
_TEXT_WIDTH = 14  # a column of words to this
_FRAME = 3  # characters a column needs beside its text


def print_table(title: str, headers: list[str], rows: list[list[str]]) -> None:
    """Print a table; columns after the first are right-aligned where they hold numbers.

    Numbers are never cut: columns that do not fit the width go into a further table.
    """
    columns = [[header, *(row[i] for row in rows)] for i, header in enumerate(headers)]
    for part in _parts(columns, output.width):
        table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
        for index, (column, width) in enumerate(zip(part, _widths(part), strict=True)):
            numeric = index > 0 and _is_numeric(column)
            justify: Literal["left", "right"] = "right" if numeric else "left"
            table.add_column(column[0], justify=justify, overflow="fold", width=width)
        for cells in zip(*(column[1:] for column in part), strict=True):
            table.add_row(*cells)
        output.print(table)
        title = f"{title.removesuffix(', continued')}, continued"


def _parts(columns: list[list[str]], width: int) -> list[list[list[str]]]:
    """The columns of each table that fits the width, each with the first column before them."""
    name, *others = columns
    parts: list[list[list[str]]] = [[name]]
    room = start = width - 1 - _FRAME - _narrowest(name, is_name=True)
    for column in others:
        needed = _narrowest(column, is_name=False) + _FRAME
        if needed > room and len(parts[-1]) > 1:
            parts.append([name])
            room = start
        parts[-1].append(column)
        room -= needed
    return parts


def _widths(columns: list[list[str]]) -> list[int]:
    """The width of each column: what it needs, and of what is left as much as it can use."""
    widths = [_narrowest(column, is_name=not index) for index, column in enumerate(columns)]
    wanted = [
        width if index and _is_numeric(column) else max(map(cell_len, column))
        for index, (column, width) in enumerate(zip(columns, widths, strict=True))
    ]
    left = output.width - 1 - sum(widths) - _FRAME * len(columns)
    # Who lacks least comes first, so that one long text does not fold all the others.
    for index in sorted(range(len(columns)), key=lambda i: wanted[i] - widths[i]):
        more = max(0, min(wanted[index] - widths[index], left))
        widths[index] += more
        left -= more
    return widths


def _narrowest(column: list[str], *, is_name: bool) -> int:
    """Width to which a column may shrink: that of its numbers, or a few words."""
    cells = max(map(cell_len, column[1:]), default=0)
    word = max(map(cell_len, column[0].split()), default=0)
    if not is_name and _is_numeric(column):
        return max(cells, word)
    widest = max(cells, cell_len(column[0]))
    return max(word, min(widest, min(_NAME_WIDTH, output.width // 3) if is_name else _TEXT_WIDTH))


def print_json(content: Any) -> None:
    """Print JSON, with null for what is not a finite number."""
    from imedbench.core.arrays import plain  # and numpy, which `--help` can do without

    print(json.dumps(plain(content), indent=2, ensure_ascii=False))


def _is_numeric(column: list[str]) -> bool:
    return all(cell and cell[0] in "0123456789–-∞+" and len(cell) < 28 for cell in column[1:])
