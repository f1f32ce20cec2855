"""How far a long piece of work has come: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

EVERY_S = 10.0  # between two lines; work that takes less prints none


class ProgressBar:
    """A progress bar with the time left, as the progress of a run; plain lines in a log file.

    Args:
        title: what is being done.
    """

    def __init__(self, title: str) -> None:
        from imedbench.cli.terminal import remarks

        self._title = title
        self._lines = None if remarks.is_terminal else ProgressLines(title, remarks.print)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=remarks,
            transient=True,
            disable=not remarks.is_terminal,
        )
        self._task = self._progress.add_task(title, total=None)

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._progress.stop()
        if self._lines:
            self._lines.end()

    def begin(self, total: int) -> None:
        """Set the number of rows."""
        self._progress.update(self._task, total=total)
        if self._lines:
            self._lines.begin(total)

    def method(self, spec: str) -> None:
        """Show which method comes next."""
        self._progress.update(self._task, description=f"{self._title} {spec}")
        if self._lines:
            self._lines.method(spec)

    def row(self, method: str, pair_id: str) -> None:
        """One more row."""
        self._progress.advance(self._task)
        if self._lines:
            self._lines.row(method, pair_id)


class ProgressLines:
    """Counts, rate and time left, a line at a time.

    Args:
        title: what is being done.
        write: takes a line.
        clock: seconds.
    """

    def __init__(
        self,
        title: str,
        write: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._write, self._clock = title, write, clock
        self._doing, self._start = title, clock()
        self._total = self._done = 0
        self._last = (self._start, 0)  # when the last line was written, and how many were done
        self._written = False

    def begin(self, total: int) -> None:
        """Set the number of rows."""
        self._total, self._done = total, 0
        self._last = (self._clock(), 0)

    def method(self, spec: str) -> None:
        """Note which method comes next."""
        self._doing = f"{self._title} {spec}"

    def row(self, method: str, pair_id: str) -> None:
        """One more row."""
        self._done += 1
        now, (then, before) = self._clock(), self._last
        if now - then < EVERY_S:
            return
        rate = (self._done - before) / (now - then)
        left = duration((self._total - self._done) / rate)
        self._write(f"{self._doing}: {self._done} of {self._total}, {rate:.3g}/s, {left} left")
        self._last, self._written = (now, self._done), True

    def end(self) -> None:
        """Say how many there were, if any line was written."""
        if self._written:
            seconds = self._clock() - self._start
            self._write(f"{self._title}: {self._done} of {self._total} in {duration(seconds)}")


def duration(seconds: float) -> str:
    """Say a time to two units.

    Example:
        >>> duration(9), duration(75), duration(7300), duration(200_000)
        ('9 s', '1 min 15 s', '2 h 1 min', '2 d 7 h')
    """
    total, units = round(seconds), (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        count, total = divmod(total, size)
        if count or parts or name == "s":
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])
