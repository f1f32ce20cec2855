"""Distil the vessel segmentation into a network of half the cost that sees more in faint images.

The small network learns what the large one finds in an image as it is (Hinton, Vinyals and Dean,
2015) together with the mask, from crops that are degraded as in the large one's training or drowned
in noise. It starts from the levels that both have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imedbench.methods import weights
from imedbench.methods.networks.unet import UNet
from imedbench.methods.training.aligned_eyes import MODALITIES, read_eyes
from imedbench.methods.training.augment import REFERENCE_SIZE, Crop, degrade, fade
from imedbench.methods.training.segmentation import SegmentationConfig, SegmentationTask
from imedbench.methods.training.vessel_folders import VesselImage, read_folder


@dataclass(frozen=True, kw_only=True)
class DistillationConfig(SegmentationConfig):
    """Settings of the distillation.

    Args:
        widths: channels of the small U-Net, finest level first.
        stem: side of the squares of pixels that it takes as channels.
        teacher: name of the shipped U-Net it learns from.
        taught: share of the teacher's map in what it learns; the mask is the rest.
        faint: share of the crops that are drowned in noise.
        noise: least and greatest deviation of that noise, where an image's own is 1/6.
    """

    widths: tuple[int, ...] = (16, 32, 64, 128)
    stem: int = 2
    teacher: str = "vessels"
    taught: float = 0.5
    faint: float = 0.25
    noise: tuple[float, float] = (0.08, 0.7)


class DistillationTask(SegmentationTask):
    """The segmentation's losses on a teacher's maps; scored by Dice with the masks.

    Args:
        config: settings.
        folders: the training images of each folder; each folder gives the same share of crops.
    """

    config: DistillationConfig

    def new_network(self) -> UNet:
        """Return a network that takes squares of pixels as channels."""
        return UNet(self.config.widths, stem=self.config.stem)

    def seen_as(self, crop: Crop, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return the crop as it is, degraded, or drowned in noise and degraded."""
        if rng.random() < self.config.faint:
            return degrade(fade(crop, self.config.noise, rng), rng)
        return super().seen_as(crop, rng)

    def seen(self, data: Sequence[Path]) -> tuple[str, ...]:
        """Names of the real images that the network or its teacher has seen."""
        own = super().seen(self.photographed(data))
        return tuple(dict.fromkeys((*own, *weights.read_card(self.config.teacher).trained_on)))

    def photographed(self, data: Sequence[Path]) -> list[Path]:
        """Leave out the folders of rendered eyes."""
        return [root for root in data if (root / "images").is_dir()]

    def products(self) -> Mapping[str, tuple[nn.Module, str, Mapping[str, Any]]]:
        """Return the small U-Net."""
        arguments = {"widths": list(self.config.widths), "stem": self.config.stem}
        return {"vessels-small": (self.net, "unet:UNet", arguments)}


def inherit(net: UNet, teacher: nn.Module) -> UNet:
    """Start a network from the levels of another that work at the same resolution.

    Args:
        net: whose finest level is that which its stem leaves.
        teacher: a U-Net without a stem; what has other widths is not taken.
    """
    skipped = net.stem.bit_length() - 1  # levels of the teacher that the stem stands for
    own, known = net.state_dict(), teacher.state_dict()
    for name, value in own.items():
        part, _, rest = name.partition(".")
        number, _, inner = rest.partition(".")
        source = f"down.{int(number) + skipped}.{inner}" if part == "down" else name
        if source in known and known[source].shape == value.shape:
            value.copy_(known[source])
    return net


def taught(image: VesselImage, teacher: nn.Module, share: float) -> VesselImage:
    """Return an image with what a teacher finds in it, at the size where it finds most.

    Args:
        image: with its mask.
        teacher: a U-Net.
        share: of the teacher in the target; the mask is the rest.
    """
    height, width = image.plane.shape
    scale = REFERENCE_SIZE / max(height, width)
    size = round(width * scale), round(height * scale)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = np.asarray(cv2.resize(image.plane, size, interpolation=way), np.float32)
    with torch.inference_mode():
        found = torch.sigmoid(teacher(torch.from_numpy(shown)[None, None]))[0, 0].numpy()
    found = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR) * image.fov
    mixed = share * found + (1 - share) * image.vessels
    return replace(image, likely=mixed.astype(np.float32))


def read_rendered(folder: Path) -> list[VesselImage]:
    """Read rendered eyes, each as one device shows it, the devices in turn."""
    images = []
    for number, planes in enumerate(read_eyes(folder)):
        modality = MODALITIES[number % len(MODALITIES)]
        plane, vessels = (
            planes[name].astype(np.float32) / np.float32(255) for name in (modality, "vessels")
        )
        name = f"{folder.name}/{number}/{modality}"
        seen = np.ones(plane.shape, np.bool_)
        images.append(VesselImage(name, plane, seen, vessels > 0.5, vessels))
    return images


def build(config: DistillationConfig, data: Sequence[Path]) -> DistillationTask:
    """Read images to distil the segmentation on.

    Args:
        config: settings.
        data: folders with ``images/train/ID.png`` and ``vessels/train/ID.png``, or of rendered
            eyes.
    """
    teacher = weights.load(config.teacher)
    folders = [
        [taught(image, teacher, config.taught) for image in read_folder(root, "train")]
        if (root / "images").is_dir()
        else read_rendered(root)
        for root in data
    ]
    task = DistillationTask(config, folders)
    inherit(task.net, teacher)
    return task
