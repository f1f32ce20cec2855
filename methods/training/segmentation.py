"""Train the U-Net on vessel masks of every modality at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from imedbench.methods.networks.losses.segmentation import dice_loss
from imedbench.methods.networks.unet import UNet, VesselNetwork, channels_last
from imedbench.methods.training.augment import Crop, degrade, pick, random_crop
from imedbench.methods.training.config import TrainingConfig
from imedbench.methods.training.task import Listed, Sample, TrainingTask
from imedbench.methods.training.vessel_folders import VesselImage, hold_out, read_folder


@dataclass(frozen=True, kw_only=True)
class SegmentationConfig(TrainingConfig):
    """Settings of the vessel segmentation.

    Args:
        widths: channels of the U-Net, finest level first.
        crop: side of the training squares, px.
        zoom_min: least magnification, 1 being an image shown 512 px wide.
        zoom_max: greatest magnification.
        hold_out: one in so many training images of each folder validates.
        clean: share of the crops that are not degraded.
    """

    widths: tuple[int, ...] = (8, 16, 32, 64, 128)
    crop: int = 128
    zoom_min: float = 0.5
    zoom_max: float = 2.0
    hold_out: int = 10
    clean: float = 0.3


class SegmentationTask(TrainingTask[SegmentationConfig]):
    """Dice loss and cross-entropy on degraded crops; scored by Dice on whole held-out images.

    Args:
        config: settings.
        folders: the training images of each folder; each folder gives the same share of crops.
    """

    def __init__(
        self, config: SegmentationConfig, folders: Sequence[Sequence[VesselImage]]
    ) -> None:
        super().__init__(config)
        splits = [hold_out(images, config.hold_out) for images in folders]
        self._train = [train for train, _ in splits]
        self._held_out = [held_out for _, held_out in splits]
        self.net = channels_last(self.new_network())

    def new_network(self) -> VesselNetwork:
        """Return a network that has learned nothing yet."""
        return UNet(self.config.widths)

    def draw(self, rng: np.random.Generator) -> Sample:
        """Return a crop and its vessels, each 1×S×S."""
        config = self.config
        images = pick(self._train, rng)
        image = pick(images, rng)
        crop = random_crop(image, config.crop, (config.zoom_min, config.zoom_max), rng)
        return {
            "plane": torch.from_numpy(self.seen_as(crop, rng))[None],
            "vessels": torch.from_numpy(crop.vessels)[None],
        }

    def seen_as(self, crop: Crop, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return the crop as one device or another may show it."""
        return crop.plane if rng.random() < self.config.clean else degrade(crop, rng)

    def training_step(self, batch: Sample, index: int) -> Tensor:
        """Dice loss plus cross-entropy of one batch."""
        plane = batch["plane"].contiguous(memory_format=torch.channels_last)
        logits = self.net(plane).float()
        dice = dice_loss(logits.sigmoid(), batch["vessels"])
        entropy = F.binary_cross_entropy_with_logits(logits, batch["vessels"])
        values = {"loss": dice + entropy, "dice": dice, "cross_entropy": entropy}
        self.log_values("train", values, len(plane))
        return values["loss"]

    def val_dataloader(self) -> DataLoader[tuple[int, int]]:
        """Indices (folder, image) of the held-out images, which have sizes of their own."""
        pairs = [(f, i) for f, images in enumerate(self._held_out) for i in range(len(images))]
        return DataLoader(Listed(pairs), batch_size=None)

    def on_validation_epoch_start(self) -> None:
        """Start a sum of scores and a count for every folder."""
        self._sums = torch.zeros(len(self._held_out), 2, device=self.device)

    def validation_step(self, batch: tuple[int, int], index: int) -> None:
        """Dice of one whole image at its native resolution."""
        folder, number = batch
        image = self._held_out[folder][number]
        dice = hard_dice(self.predict(image.plane) > 0.5, image)
        self._sums[folder] += torch.tensor([dice, 1.0], device=self.device)

    def on_validation_epoch_end(self) -> None:
        """Return the score is the mean over folders, which count alike."""
        total, count = self.trainer.strategy.reduce(self._sums, reduce_op="sum").unbind(dim=1)
        means = total / count
        named = {f"score_{folder}": mean for folder, mean in enumerate(means)}
        self.log_values("val", {**named, "score": means.mean()}, 1)

    def predict(self, plane: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of vessel, H×W."""
        tensor = torch.from_numpy(plane)[None, None].to(self.device)
        with torch.inference_mode():
            probability = self.net(tensor).float().sigmoid()
        return np.asarray(probability[0, 0].cpu().numpy(), np.float32)

    def pictures(self) -> NDArray[np.uint8]:
        """One held-out image of each folder beside its map and its reference."""
        rows = []
        for images in self._held_out:
            image = images[0]
            planes = [image.plane, self.predict(image.plane), image.vessels.astype(np.float32)]
            small = [cv2.resize(p, (400, 400), interpolation=cv2.INTER_AREA) for p in planes]
            rows.append(np.hstack(small))
        return np.clip(np.vstack(rows) * 255, 0, 255).astype(np.uint8)

    def configure_optimizers(self) -> Any:
        """AdamW along a cosine."""
        return self.cosine(self.net.parameters())

    def products(self) -> Mapping[str, tuple[nn.Module, str, Mapping[str, Any]]]:
        """Return the U-Net."""
        return {"vessels": (self.net, "unet:UNet", {"widths": list(self.config.widths)})}


def hard_dice(mask: NDArray[np.bool_], image: VesselImage) -> float:
    """Dice of a mask inside the field of view; 1 when both are empty."""
    overlap = np.count_nonzero(mask & image.vessels & image.fov)
    total = np.count_nonzero(mask & image.fov) + np.count_nonzero(image.vessels & image.fov)
    return 2 * overlap / total if total else 1.0


def build(config: SegmentationConfig, data: Sequence[Path]) -> SegmentationTask:
    """Read vessel masks to train the segmentation on.

    Args:
        config: settings.
        data: folders with ``images/train/ID.png`` and ``vessels/train/ID.png``.
    """
    return SegmentationTask(config, [read_folder(root, "train") for root in data])
