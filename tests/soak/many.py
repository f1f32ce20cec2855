"""A data set of very many small pairs, made as they are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from imedbench.core.datasets import DatasetInfo, PairRef
from imedbench.core.registry import DATASETS
from imedbench.core.types import Image, ImagePair, Split
from imedbench.runs import pairs

# A run keeps the pixels of its pairs, up to a limit: all else is what must not grow with the rows.
pairs.MAX_KEPT = 1 << 20


@DATASETS.register("many")
class Many:
    """As many pairs as the environment says, each of 64×64 px."""

    info = DatasetInfo("many", "very many pairs")

    def refs(self, split: Split) -> Sequence[PairRef]:
        """The pairs."""
        rows = range(int(os.environ["IMEDBENCH_SOAK_ROWS"]))
        return [PairRef(f"{n}", split, "test", f"{n}", "cf", "octa") for n in rows]

    def load(self, ref: PairRef) -> ImagePair:
        """Make one pair."""
        pixels = np.random.default_rng(int(ref.pair_id)).integers(0, 255, (64, 64)).astype(np.uint8)
        return ImagePair(ref.pair_id, Image(pixels, "cf"), Image(pixels.copy(), "octa"))

    def fingerprint(self, ref: PairRef) -> str:
        """Say what a pair is made from."""
        return ref.pair_id
