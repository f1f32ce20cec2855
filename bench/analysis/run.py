"""An opened run: its settings, its rows and the data set they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from imedbench.analysis.leaks import leak_warnings, translation_remarks
from imedbench.analysis.tables import pair_table
from imedbench.core.datasets import Dataset, MissingSplit, open_dataset
from imedbench.core.errors import BadInput
from imedbench.core.perceptual import perceptual_hash
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
    """

    folder: Path
    settings: dict[str, Any]
    dataset: Dataset
    store: Store

    def warnings(self) -> list[str]:
        """What a reader of any table of this run must know: methods judged on eyes they know."""
        refs = self.store.pairs()
        return leak_warnings(self.store.methods(), self.dataset.info, refs, self._looks)

    def remarks(self) -> list[str]:
        """Say what a reader of any table should know of the data, such as who translated it."""
        return translation_remarks(self.dataset.info, self.store.pairs())

    @cached_property
    def _looks(self) -> dict[tuple[str, str], list[str]]:
        """Perceptual hashes of the images, read only where a method is known by its own."""
        methods = [*self.store.methods().values(), self.dataset.info.translator]
        if not any(known and known.training_images for known in methods):
            return {}
        looks: dict[tuple[str, str], list[str]] = {}
        for ref in self.store.pairs():
            pair = self.dataset.load(ref)
            looks[ref.split, ref.pair_id] = [*map(perceptual_hash, (pair.fixed, pair.moving))]
        return looks

    def table(self) -> pd.DataFrame:
        """One row for each method, split and pair; see `imedbench.analysis.tables.pair_table`."""
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
    for plugin in settings["plugins"]:
        load_plugin_file(Path(plugin))
    spec = data or settings["config"]["data"]
    try:
        dataset = open_dataset(spec)
    except BadInput as error:
        raise BadInput(f"{folder}: its data cannot be opened ({error}); say --data") from error
    return Run(folder, settings, dataset, Store(folder))


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
