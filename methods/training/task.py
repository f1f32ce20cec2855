"""What every training is made of: a task, its samples and its epochs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from imedbench.methods.training.config import Config

Sample = dict[str, Tensor]
T = TypeVar("T")
SCORE = "val/score"


class TrainingTask(L.LightningModule, Generic[Config]):
    """What one task adds to the loop: a network, samples, a loss, a score and pictures.

    Samples are drawn from (seed, epoch, index) alone, so a resumed training sees what an
    uninterrupted one would have seen.

    Args:
        config: settings of the task.
    """

    score_mode: Literal["max", "min"] = "max"  # whether a high or a low SCORE is good
    keeps_best = True  # the epoch of the best SCORE; else the last one

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Sample:
        """One training sample."""

    def seen(self, data: Sequence[Path]) -> tuple[str, ...]:
        """Names of all that the network has seen after a training on these folders."""
        return tuple(f"{root.name}/train" for root in data)

    def photographed(self, data: Sequence[Path]) -> list[Path]:
        """Say which of the folders hold real images, whose copies are to be known again."""
        return list(data)

    @abstractmethod
    def pictures(self) -> NDArray[np.uint8]:
        """Return a picture of what the network does now, H×W or H×W×3 (blue, green, red)."""

    @abstractmethod
    def products(self) -> Mapping[str, tuple[nn.Module, str, Mapping[str, Any]]]:
        """Return the networks to keep: by name, the module, its architecture and arguments."""

    def train_dataloader(self) -> DataLoader[Sample]:
        """Samples of the present epoch."""
        config = self.config
        world = self.trainer.world_size if self._trainer is not None else 1
        count = config.steps_per_epoch * config.batch_size * world
        return DataLoader(
            _Epoch(self, count, self.current_epoch),
            batch_size=config.batch_size,
            num_workers=config.workers,
        )

    def log_values(self, prefix: str, values: Mapping[str, Tensor | float], batch: int) -> None:
        """Log numbers as means over the epoch."""
        named = {f"{prefix}/{name}": value for name, value in values.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=batch, sync_dist=True)

    def cosine(self, parameters: Any, *, warm_up: int = 200) -> Any:
        """AdamW whose rate rises for some steps, then falls along a cosine to zero."""
        config = self.config
        total = config.epochs * config.steps_per_epoch

        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / max(1, min(warm_up, total // 10)))
            return rise * 0.5 * (1 + float(np.cos(np.pi * min(1.0, step / total))))

        optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _Epoch(Dataset[Sample]):
    """The samples of one epoch."""

    def __init__(self, task: TrainingTask[Any], count: int, epoch: int) -> None:
        self._task, self._count, self._epoch = task, count, epoch

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        return self._task.draw(np.random.default_rng([self._task.config.seed, self._epoch, index]))


class Listed(Dataset[T]):
    """A list of samples, as a data loader wants it."""

    def __init__(self, items: Sequence[T]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> T:
        return self._items[index]
