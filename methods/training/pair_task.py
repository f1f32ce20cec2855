"""What trainings on warped pairs of one image have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from torch.utils.data import DataLoader

from imedbench.methods.training.augment import pick
from imedbench.methods.training.config import TrainingConfig
from imedbench.methods.training.task import Listed, Sample, TrainingTask
from imedbench.methods.training.vessel_folders import hold_out
from imedbench.methods.training.warped_pairs import Retina, WarpRange


@dataclass(frozen=True, kw_only=True)
class PairConfig(TrainingConfig):
    """Settings of warped pairs.

    Args:
        rotation: of the warps, degrees.
        scale: of the warps, factor.
        shift: of the warps, share of the side.
        bend: of the warps, share of the side.
        field_min: least part of an image that a view shows.
        field_max: greatest part.
        clean: share of the views that are not degraded.
        hold_out: one in so many images of each folder validates.
        validation_pairs: number of pairs to validate on.
    """

    rotation: float = 30.0
    scale: float = 1.5
    shift: float = 0.25
    bend: float = 0.05
    field_min: float = 0.5
    field_max: float = 1.0
    clean: float = 0.3
    hold_out: int = 10
    validation_pairs: int = 64

    @property
    def warps(self) -> WarpRange:
        """The ranges of the warps."""
        return WarpRange(
            rotation=self.rotation,
            scale=self.scale,
            shift=self.shift,
            bend=self.bend,
            field_min=self.field_min,
            field_max=self.field_max,
        )


AnyPairConfig = TypeVar("AnyPairConfig", bound=PairConfig)


class PairTask(TrainingTask[AnyPairConfig]):
    """Draws pairs from the training images, validates on fixed pairs of held-out ones.

    Each folder gives the same share of pairs. The score is an error, so less is better.
    """

    score_mode = "min"

    def take(self, folders: Sequence[Sequence[Retina]], size: int) -> None:
        """Split the retinas of each folder, shrunk to what views of ``size`` px need."""
        longest = round(size / self.config.field_min)
        splits = [
            hold_out([retina.shrunk(longest) for retina in retinas], self.config.hold_out)
            for retinas in folders
        ]
        self._train = [train for train, _ in splits]
        self._held_out = [held_out for _, held_out in splits]

    @abstractmethod
    def sample(self, retinas: Sequence[Retina], rng: np.random.Generator) -> Sample:
        """Return a training sample from one of the retinas."""

    def draw(self, rng: np.random.Generator) -> Sample:
        """Return a sample of the training retinas."""
        return self.sample(pick(self._train, rng), rng)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Pairs of held-out retinas, the same at every validation."""
        config = self.config
        pairs = [
            self.sample(
                self._held_out[i % len(self._held_out)], np.random.default_rng([config.seed, 7, i])
            )
            for i in range(config.validation_pairs)
        ]
        return DataLoader(Listed(pairs), batch_size=config.batch_size)

    def shown_samples(self) -> list[Sample]:
        """Return a held-out pair of each folder, the same for every picture."""
        return [
            self.sample(retinas, np.random.default_rng([self.config.seed, 8, index]))
            for index, retinas in enumerate(self._held_out)
        ]
