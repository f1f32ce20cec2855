"""An endless supply of pairs for training, the same for any number of workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imedbench.core.types import ImagePair
from imedbench.datasets.synthetic.pairs import make_pair
from imedbench.datasets.synthetic.randomness import derived_seed, stream
from imedbench.datasets.synthetic.render import Modality
from imedbench.datasets.synthetic.warps import Level

PAIRS_PER_EYE = 8
"""Growing an eye costs as much as an image, so each is used for several pairs."""


@dataclass(frozen=True)
class PairStream:
    """Pairs by number: a map-style data set, which a torch DataLoader takes as it is.

    Pair ``n`` depends on the seed and ``n`` alone. Its eyes are never those of the benchmark set.

    Args:
        seed: other seeds give other pairs.
        level: difficulty.
        modalities: pairs of (fixed, moving) modalities, taken in turn at random.
        size: width and height, px.
        length: how many pairs there are.

    Example:
        >>> pairs = PairStream(seed=1, level="easy", size=64, length=3)
        >>> len(pairs), pairs[2].fixed.size
        (3, (64, 64))
    """

    seed: int
    level: Level = "imed"
    modalities: Sequence[tuple[Modality, Modality]] = (("cf", "octa"),)
    size: int = 512
    length: int = 1_000_000

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> ImagePair:
        """Make one pair.

        Raises:
            IndexError: past the last one.
        """
        if not 0 <= number < self.length:
            raise IndexError(number)
        turn = stream(self.seed, "training", number).integers(len(self.modalities))
        fixed, moving = self.modalities[int(turn)]
        return make_pair(
            derived_seed(self.seed, "training", number),
            self.level,
            fixed_modality=fixed,
            moving_modality=moving,
            size=self.size,
            eye_seed=derived_seed(self.seed, "training eye", number // PAIRS_PER_EYE),
        )


def stream_pairs(
    seed: int,
    level: Level = "imed",
    *,
    modalities: Sequence[tuple[Modality, Modality]] = (("cf", "octa"),),
    size: int = 512,
    start: int = 0,
    step: int = 1,
) -> Iterator[ImagePair]:
    """Pairs without end.

    Worker ``k`` of ``n`` takes its share with ``start=k, step=n``.

    Args:
        seed: other seeds give other pairs.
        level: difficulty.
        modalities: pairs of (fixed, moving) modalities, taken in turn at random.
        size: width and height, px.
        start: number of the first pair.
        step: distance to the next.

    Yields:
        Pairs ``start``, ``start + step``, ``start + 2 step`` …
    """
    pairs = PairStream(seed, level, modalities, size, length=2**62)
    number = start
    while True:
        yield pairs[number]
        number += step
