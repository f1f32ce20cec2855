"""Which pairs a run covers, and where each comes in the whole of it."""

from __future__ import annotations

from dataclasses import replace

from imedbench.core.datasets import Dataset, MissingSplit, PairRef
from imedbench.core.errors import BadInput
from imedbench.runs.config import RunConfig


class Plan:
    """Which pairs a run is to cover.

    Args:
        config: the settings.
        dataset: the opened data set.

    Raises:
        BadInput: when the settings leave none.
    """

    def __init__(self, config: RunConfig, dataset: Dataset) -> None:
        self.whole: list[PairRef] = []
        self.positions: list[int] = []
        for split in config.splits:
            refs = [r for r in dataset.refs(split) if config.subset in ("all", r.subset)]
            positions = list(range(len(self.whole), len(self.whole) + len(refs[: config.limit])))
            self.whole += refs[: config.limit]
            # Split by split: pairs that are added at the end leave the others where they are.
            self.positions += config.shard.take(positions) if config.shard else positions
        self.refs = [self.whole[position] for position in self.positions]
        if not self.whole:
            raise BadInput(f"{config.data}: no pairs in subset {config.subset!r}")
        if not self.refs:
            n = len(self.whole)
            raise BadInput(f"--shard {config.shard}: no pair is left for it, there are {n} in all")


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
