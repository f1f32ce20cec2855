"""The rows of a run folder, as tables, charts and pages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from imedbench.core.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from imedbench.analysis.row import Row


class Results:
    """The rows of a run folder.

    Args:
        folder: of a run.
        data: where the data set is now, if it moved.

    Raises:
        BadInput: when the folder holds no run.
    """

    def __init__(self, folder: str | Path, data: str | None = None) -> None:
        from imedbench.analysis.run import open_run

        self.folder = Path(folder)
        self._run = open_run(self.folder, data)

    def frame(self) -> pd.DataFrame:
        """Return one row for each method, split and pair, with its scores."""
        return self._run.table()

    def summary(self) -> pd.DataFrame:
        """Return one row a method and split: failures, means with 95 % intervals, latency."""
        import pandas as pd

        from imedbench.analysis.tables import summarise

        return pd.DataFrame([row.as_dict() for row in summarise(self.frame())])

    def compare(
        self, base: str, new: str, metrics: Sequence[str] = ("failures", "tre_mean", "mse")
    ) -> pd.DataFrame:
        """Compare two methods pair by pair.

        Args:
            base: name of the one method, as in the run.
            new: name of the other.
            metrics: to compare; ``failures`` counts failed pairs.

        Returns:
            One row a split and metric: means, paired difference with its interval, corrected p.

        Raises:
            BadInput: when the run has no such method.
            IncompleteRun: when a pair has no answer.
        """
        import pandas as pd

        from imedbench.analysis.comparison import RunSelector, compare_runs

        known = set(self.frame().columns) | {"failures"}
        chosen = [metric for metric in metrics if metric in known]
        before, after = (RunSelector(self.folder, name) for name in (base, new))
        rows = [asdict(row) for row in compare_runs(before, after, chosen)]
        return pd.json_normalize(rows, sep="_")

    def rows(self, pair_id: str, method: str) -> list[Row]:
        """Return all that is kept of one pair under one method, a crash with its traceback.

        Args:
            pair_id: of the pair; one row a split that has it.
            method: its spec, as in the run.

        Raises:
            BadInput: when the run has no such pair or method.
        """
        from imedbench.analysis.row import find_rows

        return find_rows(self.folder, pair_id, method)

    def plot(self, chart: str = "", split: str = "") -> Plot:
        """Draw one of the report's charts; a notebook shows it.

        Args:
            chart: ``cumulative``, ``risk``, ``outcomes``, ``pareto``, ``ranks`` …; the first that
                the rows allow if left out.
            split: the run's first if left out.

        Raises:
            BadInput: for a chart or split that there is not.
        """
        from imedbench.analysis.best import judge_split
        from imedbench.analysis.tables import summarise
        from imedbench.reports.charts import colours, split_charts
        from imedbench.reports.figures import chart_figure

        table = self.frame()
        splits = list(dict.fromkeys(table["split"]))
        split = _known("split", split, splits)
        table = table[table["split"] == split]
        colour = colours(list(dict.fromkeys(table["method"])))
        charts = {
            c.name: c for c in split_charts(table, judge_split(table, summarise(table)), colour)
        }
        return Plot(chart_figure(charts[_known("chart", chart, list(charts))]))

    def report(self, kind: Literal["md", "html"] = "html", out: str | Path | None = None) -> Path:
        """Write a page about the run and return its path; by default into the run's folder."""
        from imedbench.core.progress import NullProgress
        from imedbench.reports.page import write_page
        from imedbench.reports.report import write_report

        draw = write_page if kind == "html" else write_report
        return draw(self._run, Path(out or self.folder), NullProgress())

    def __repr__(self) -> str:
        frame = self.frame()
        methods = ", ".join(frame["method"].unique())
        return f"<Results {self.folder}: {methods} on {frame['pair_id'].nunique()} pairs>"

    def _repr_html_(self) -> str:
        return str(self.summary().to_html(index=False))


@dataclass(frozen=True, eq=False)
class Plot:
    """A chart that a notebook shows.

    Args:
        figure: of matplotlib.
    """

    figure: Figure

    def save(self, path: str | Path) -> Path:
        """Write it to a file, whose ending says the format, and return its path."""
        self.figure.savefig(path)
        return Path(path)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png")
        return buffer.getvalue()


def _known(kind: str, name: str, names: list[str]) -> str:
    """The name, the first of them if it is empty."""
    if not names or (name and name not in names):
        raise BadInput(f"there is no {kind} {name!r} of this run; it has: {', '.join(names)}")
    return name or names[0]
