"""An opened run: its settings, its rows and the data set they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from imedbench.analysis.leaks import leak_warnings
from imedbench.analysis.tables import pair_table
from imedbench.core.datasets import Dataset, MissingSplit, open_dataset
from imedbench.core.errors import BadInput
from imedbench.core.progress import Progress
from imedbench.core.registry import load_plugin_file
from imedbench.runs.config import RunConfig, read_run
from imedbench.runs.scoring import score
from imedbench.runs.store import Store


@dataclass(frozen=True)
class Run:
    """A run folder ready to be read.

    Args:
        folder: where it is.
        settings: the content of ``run.json``.
        dataset: what it was run on.
        store: its database.
        missing_plugins: files of plugins that are not where they were when the run was made.
    """

    folder: Path
    settings: dict[str, Any]
    dataset: Dataset
    store: Store
    missing_plugins: tuple[str, ...] = ()

    def warnings(self) -> list[str]:
        """Say what a reader of any table of this run must know."""
        leaks = leak_warnings(self.store.methods(), self.dataset.info.name, self.store.pairs())
        return [*leaks, *(f"the plugin {name} is gone" for name in self.missing_plugins)]

    def table(self) -> pd.DataFrame:
        """Read one row for each method, split and pair; see `pair_table`."""
        return pair_table(self.store)


def open_run(folder: Path, data: str | None = None) -> Run:
    """Open a run folder and the data set it was made on.

    Args:
        folder: the run folder.
        data: where the data set is now, if it moved.

    Raises:
        BadInput: when the folder holds no run, or the data set is not where it was.
    """
    settings = read_run(folder)
    missing = load_run_plugins(settings)
    spec = data or settings["config"]["data"]
    try:
        dataset = open_dataset(spec)
    except BadInput as error:
        raise BadInput(f"{folder}: its data cannot be opened ({error}); say --data") from error
    return Run(folder, settings, dataset, Store(folder), missing)


def load_run_plugins(settings: dict[str, Any]) -> tuple[str, ...]:
    """Load the plugin files that a run was made with, and name those that are gone.

    A run is read without them: what they made is stored.
    """
    files = [Path(plugin) for plugin in settings["plugins"]]
    for file in files:
        if file.exists():
            load_plugin_file(file)
    return tuple(file.name for file in files if not file.exists())


def score_run(run: Run, metrics: Sequence[str], progress: Progress | None = None) -> None:
    """Bring the scores of a run up to date."""
    from imedbench.metrics.reference_vessels import reference_vessels

    score(run.store, run.dataset, metrics, reference_vessels, progress)


def offered_splits(
    config: RunConfig, dataset: Dataset, every_split: bool
) -> tuple[RunConfig, list[str]]:
    """Leave out the splits a data set does not have, and say why.

    Args:
        config: with the splits asked for.
        dataset: opened.
        every_split: whether "all there are" was meant; if not, a missing one is an error.

    Raises:
        MissingSplit: when a split asked for by name is missing, or all are.
    """
    present, reasons = [], []
    for split in config.splits:
        try:
            dataset.refs(split)
            present.append(split)
        except MissingSplit as error:
            if not every_split:
                raise
            reasons.append(str(error))
    if not present:
        raise MissingSplit("; ".join(reasons))
    return replace(config, splits=tuple(present)), reasons
