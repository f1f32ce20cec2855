"""An opened run: its settings, its rows and the data set they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from imedbench.analysis.leaks import leak_warnings, translation_remarks
from imedbench.analysis.tables import pair_table
from imedbench.core.datasets import Dataset, open_dataset
from imedbench.core.errors import BadInput
from imedbench.core.progress import Progress
from imedbench.runs.config import read_run
from imedbench.runs.files import unreadable
from imedbench.runs.pairs import KeptPairs
from imedbench.runs.scoring import Guard, score
from imedbench.runs.store import Store


@dataclass(frozen=True)
class Run:
    """A run folder ready to be read.

    Args:
        folder: where it is.
        settings: the content of ``run.json``.
        dataset: what it was run on.
        store: its database.
    """

    folder: Path
    settings: dict[str, Any]
    dataset: KeptPairs
    store: Store

    @property
    def has_news(self) -> bool:
        """Whether anything was computed or scored since the run was opened."""
        return self.dataset.has_read

    def warnings(self) -> list[str]:
        """Say what a reader of any table of this run must know: methods judged on known eyes."""
        refs = self.store.pairs()
        looks = {pair: known.looks.split() for pair, known in self.store.hashes().items()}
        return leak_warnings(self.store.methods(), self.dataset.info, refs, looks)

    def remarks(self) -> list[str]:
        """Say what a reader of any table should know of the data, such as who translated it."""
        methods = self.store.methods().items()
        imported = [(m, info.summary) for m, info in methods if info and info.family == "imported"]
        return [
            *translation_remarks(self.dataset.info, self.store.pairs()),
            *(f"{method} did not run here: {summary}" for method, summary in imported),
            *(str(unreadable(file)) for file in self.store.damaged_files()),
        ]

    def table(self) -> pd.DataFrame:
        """Read one row for each method, split and pair; see `pair_table`."""
        return pair_table(self.store)


def open_run(folder: Path, data: str | None = None, dataset: Dataset | None = None) -> Run:
    """Open a run folder and the data set it was made on.

    The run's plugins are not loaded: stored rows can be read without them, and a folder may come
    from anybody.

    Args:
        folder: the run folder.
        data: where the data set is now, if it moved.
        dataset: the data set, if it is open already.

    Raises:
        BadInput: when the folder holds no run, or the data set is not where it was.
    """
    settings = read_run(folder)
    spec = data or settings["config"]["data"]
    try:
        opened = dataset or open_dataset(spec)
    except BadInput as error:
        hint = plugin_hint(settings)
        raise BadInput(
            f"{folder}: its data cannot be opened ({error}); say --data{hint}"
        ) from error
    pairs = opened if isinstance(opened, KeptPairs) else KeptPairs(opened)
    return Run(folder, settings, pairs, Store(folder))


def plugin_hint(settings: dict[str, Any]) -> str:
    """Say how to load the plugins that a run was made with, if it was made with any."""
    options = " ".join(f"--plugin {file}" for file in settings["plugins"])
    return f"; plugins of a run are loaded when they are named: say {options}" if options else ""


def score_run(
    run: Run,
    metrics: Sequence[str],
    progress: Progress | None = None,
    guard: Guard | None = None,
) -> None:
    """Bring the scores of a run up to date; see `imedbench.runs.scoring.score`."""
    score(run.store, run.dataset, metrics, progress, guard)
