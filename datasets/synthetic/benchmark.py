"""The embedded data set: pairs made when they are asked for, from nothing but a seed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from imedbench.core.datasets import DatasetInfo, PairRef
from imedbench.core.errors import BadInput
from imedbench.core.registry import DATASETS
from imedbench.core.types import ImagePair, Split

DEFAULT_PAIRS = 13
"""As many test pairs as the IMED collection has."""

MAX_PAIRS = 1_000_000
MAX_SIZE = 4096  # px; more detail than the vessels are drawn with
_KEPT = 2 * DEFAULT_PAIRS  # pairs held in memory: both splits of the default set


@DATASETS.register("synthetic")
class Synthetic:
    """Pairs of images of synthetic eyes, one eye a pair.

    The multi-modal split shows a photograph (fixed) and an OCTA scan (moving). In the
    single-modal split a translation of that photograph into OCTA takes its place, as a network
    such as CycleGAN would make it; the scan stays the same. The eyes are the same at every level.

    Args:
        pairs: how many pairs.
        level: ``easy``; ``imed``: moved as the IMED pairs are, about 17 px of 512; ``hard``:
            rotation to 30°, scale 0.75 to 1.33, curved, 40 % overlap at least; ``fields``: a wide
            photograph with the optic disc against a scan of the macula.
        size: width and height of the images, px.
        seed: other seeds give other eyes.
        stress: one factor set to a value, ``KIND:VALUE`` with KIND ``rotation``, ``scale``,
            ``overlap``, ``blur``, ``noise`` or ``lesions``; empty for none.

    Raises:
        BadInput: when an option is out of range.
    """

    def __init__(
        self,
        *,
        pairs: int = DEFAULT_PAIRS,
        level: Literal["easy", "imed", "hard", "fields"] = "imed",
        size: int = 512,
        seed: int = 0,
        stress: str = "",
    ) -> None:
        from imedbench.datasets.synthetic.pairs import VERSION
        from imedbench.datasets.synthetic.warps import Stress

        if not (1 <= pairs <= MAX_PAIRS and 64 <= size <= MAX_SIZE and seed >= 0):
            raise BadInput(
                f"synthetic: pairs must be 1 … {MAX_PAIRS}, size 64 … {MAX_SIZE} and seed ≥ 0"
            )
        self.pairs, self.level, self.size, self.seed = pairs, level, size, seed
        self.stress = Stress.parse(stress) if stress else None
        # Every method asks for the same pairs in turn, and making one costs a fraction of a second.
        self._made = lru_cache(maxsize=_KEPT)(self._make)
        self.info = DatasetInfo(
            name="synthetic",
            summary=f"synthetic eyes, level {level}" + (f", {stress}" if stress else ""),
            version=VERSION,
            licence="Apache-2.0",
        )

    def refs(self, split: Split) -> Sequence[PairRef]:
        """Return the pairs of a split."""
        return [
            PairRef(
                pair_id=f"{number:02d}",
                split=split,
                subset="test",
                group=f"eye-{self._pair_seed(number)}",
                fixed_modality="cf" if split == "multi-modal" else "octa",
                moving_modality="octa",
            )
            for number in range(1, self.pairs + 1)
        ]

    def load(self, ref: PairRef) -> ImagePair:
        """Make one pair, or give it again if it was made a short while ago."""
        return self._made(ref)

    def fingerprint(self, ref: PairRef) -> str:
        """Say what a pair is made from."""
        return f"{self.info.version} {self.level} {self.size} {self.stress} {self.seed} {ref}"

    def _make(self, ref: PairRef) -> ImagePair:
        from dataclasses import replace

        from imedbench.datasets.synthetic.pairs import make_pair

        pair = make_pair(
            self._pair_seed(int(ref.pair_id)),
            self.level,
            fixed_modality="cf" if ref.split == "multi-modal" else "octa-like",
            moving_modality="octa",
            size=self.size,
            stress=self.stress,
        )
        return replace(pair, pair_id=ref.pair_id)

    def _pair_seed(self, number: int) -> int:
        from imedbench.datasets.synthetic.randomness import derived_seed

        return derived_seed(self.seed, "benchmark", number)
