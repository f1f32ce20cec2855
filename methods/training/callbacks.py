"""What happens beside a training: its time is counted, its progress pictured."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray


@runtime_checkable
class Pictured(Protocol):
    """A task that can show what its network does."""

    def pictures(self) -> NDArray[np.uint8]:
        """Return a picture of what the network does now, H×W or H×W×3 (blue, green, red)."""


class EpochRecord(Callback):
    """Keep the newest epoch's score and the time spent, and stop between epochs when it is used up.

    Resumed runs count on. Lightning's own timer stops inside an epoch, after which a resumed run
    sees other samples.

    Args:
        minutes: that the training may take; 0 for no limit.
        metric: name under which the score is logged.
    """

    def __init__(self, minutes: float, metric: str) -> None:
        self.seconds = 0.0
        self.score = 0.0
        self._metric = metric
        self._limit = minutes * 60
        self._since = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._since = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock, and the training if the time is used up on any device."""
        self.score = float(trainer.callback_metrics[self._metric])
        self.seconds += time.monotonic() - self._since
        spent = bool(self._limit) and self.seconds > self._limit
        trainer.should_stop = trainer.should_stop or trainer.strategy.reduce_boolean_decision(
            spent, all=False
        )

    def state_dict(self) -> dict[str, Any]:
        """Say what a checkpoint keeps."""
        return {"seconds": self.seconds, "score": self.score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting from a checkpoint."""
        self.seconds = state_dict["seconds"]
        self.score = state_dict["score"]


class SamplePictures(Callback):
    """Write a sample picture at the end of every epoch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw and write."""
        if trainer.is_global_zero and isinstance(pl_module, Pictured):
            self._folder.mkdir(parents=True, exist_ok=True)
            with torch.inference_mode():
                picture = pl_module.pictures()
            cv2.imwrite(str(self._folder / f"epoch_{trainer.current_epoch:04d}.png"), picture)
