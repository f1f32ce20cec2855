"""Which pairs a run covers, and where each comes in the whole of it."""

from __future__ import annotations

from imedbench.core.datasets import Dataset, PairRef
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
