"""Distil the vessel segmentation and the filters that follow it into one small network.

The small network learns what the filters find in the evidence of the large one (Hinton, Vinyals and
Dean, 2015) and of the mask on an image as it is, from crops that are degraded as in the large one's
training or drowned in noise. It starts from the levels that both have.
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
from torch import Tensor, nn
from torch.nn import functional as F

from imedbench.methods import weights
from imedbench.methods.networks.unet import Net, VesselLines
from imedbench.methods.training.aligned_eyes import MODALITIES, read_eyes
from imedbench.methods.training.augment import (
    REFERENCE_SIZE,
    Crop,
    degrade,
    fade,
    pick,
    random_crop,
)
from imedbench.methods.training.segmentation import SegmentationConfig, SegmentationTask
from imedbench.methods.training.task import Sample
from imedbench.methods.training.vessel_folders import VesselImage, read_folder
from imedbench.methods.vessel_filters import evidence_responses

_CLEAR = 0.08  # response to a clear vessel: the 97th percentile of training crops at all zooms
_QUADRATIC = 0.5  # of that: smaller errors count by their squares, so that means are learned
_GROUND = 0.3  # weight of a pixel without a vessel beside that of a clear vessel, 1.3
_RIM = 4  # px of a crop's edge where the filters see less than they will


@dataclass(frozen=True, kw_only=True)
class DistillationConfig(SegmentationConfig):
    """Settings of the distillation.

    Args:
        widths: channels of the small network, that of half the resolution first.
        teacher: name of the shipped U-Net it learns from.
        taught: share of the teacher's map in what it learns; the mask is the rest.
        faint: share of the crops that are drowned in noise.
        noise: least and greatest deviation of that noise, where an image's own is 1/6.
    """

    widths: tuple[int, ...] = (16, 32, 64, 128)
    teacher: str = "vessels"
    taught: float = 0.5
    faint: float = 0.25
    noise: tuple[float, float] = (0.08, 0.7)


class DistillationTask(SegmentationTask):
    """Errors of the responses; scored by their correlation on whole held-out images.

    Args:
        config: settings.
        folders: the training images of each folder; each folder gives the same share of crops.
    """

    config: DistillationConfig

    def new_network(self) -> VesselLines:
        """Return a network that finds lines."""
        return VesselLines(self.config.widths)

    def draw(self, rng: np.random.Generator) -> Sample:
        """Return a crop 1×S×S, what is to be found in it 3×S×S, and where that counts 1×S×S."""
        config = self.config
        image = pick(pick(self._train, rng), rng)
        crop = random_crop(image, config.crop, (config.zoom_min, config.zoom_max), rng)
        counts = np.zeros(crop.fov.shape, np.float32)
        counts[_RIM:-_RIM, _RIM:-_RIM] = crop.fov[_RIM:-_RIM, _RIM:-_RIM]
        return {
            "plane": torch.from_numpy(self.seen_as(crop, rng))[None],
            "planes": torch.from_numpy(wanted(crop.plane, crop.vessels)),
            "counts": torch.from_numpy(counts)[None],
        }

    def seen_as(self, crop: Crop, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return the crop as it is, degraded, or drowned in noise and degraded."""
        if rng.random() < self.config.faint:
            return degrade(fade(crop, self.config.noise, rng), rng)
        return super().seen_as(crop, rng)

    def training_step(self, batch: Sample, index: int) -> Tensor:
        """Huber's loss of all planes; clear vessels weigh most."""
        plane = batch["plane"].contiguous(memory_format=torch.channels_last)
        found, planes = self.net(plane).float(), batch["planes"]
        error = F.huber_loss(found, planes, reduction="none", delta=_QUADRATIC)
        weight = batch["counts"] * (_GROUND + planes[:, :1].clamp(max=1))
        loss = (error * weight).sum() / weight.sum().clamp(min=1)
        self.log_values("train", {"loss": loss}, len(plane))
        return loss

    def validation_step(self, batch: tuple[int, int], index: int) -> None:
        """Correlation of the strength of one whole image at its native resolution."""
        folder, number = batch
        image = self._held_out[folder][number]
        found = self.predict(image.plane)[image.fov]
        strength = wanted(image.plane, image.target)[0][image.fov]
        alike = float(np.corrcoef(found, strength)[0, 1])
        self._sums[folder] += torch.tensor([alike, 1.0], device=self.device)

    def predict(self, plane: NDArray[np.float32]) -> NDArray[np.float32]:
        """Strength, H×W."""
        with torch.inference_mode():
            found = self.net(torch.from_numpy(plane)[None, None].to(self.device))
        return np.asarray(found[0, 0].float().cpu().numpy(), np.float32)

    def seen(self, data: Sequence[Path]) -> tuple[str, ...]:
        """Names of the real images that the network or its teacher has seen."""
        own = super().seen(self.photographed(data))
        return tuple(dict.fromkeys((*own, *weights.read_card(self.config.teacher).trained_on)))

    def photographed(self, data: Sequence[Path]) -> list[Path]:
        """Leave out the folders of rendered eyes."""
        return [root for root in data if (root / "images").is_dir()]

    def products(self) -> Mapping[str, tuple[nn.Module, str, Mapping[str, Any]]]:
        """Return the network, which now finds what the filters would."""
        net = self.new_network()
        net.load_state_dict(self.net.state_dict())
        with torch.no_grad():
            for parameter in net.head.parameters():
                parameter.mul_(_CLEAR)
        arguments = {"widths": list(self.config.widths)}
        return {"vessel-lines": (net, "unet:VesselLines", arguments)}


def wanted(plane: NDArray[np.float32], likely: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the network has to find, 3×H×W, where a clear vessel is 1.

    Args:
        plane: float32 H×W, the image as it is.
        likely: float32 H×W, how likely each pixel is a vessel.
    """
    strength, *double = found = evidence_responses(plane, likely)
    found[1:] *= strength / np.maximum(np.hypot(*double), np.float32(1e-9))
    return found / np.float32(_CLEAR)


def inherit(net: Net, teacher: nn.Module) -> Net:
    """Start a network from the levels of a U-Net that work at the same resolution.

    Args:
        net: as `VesselLines`, whose finest level is the U-Net's second.
        teacher: a U-Net; what has other widths is not taken.
    """
    own, known = net.state_dict(), teacher.state_dict()
    for name, value in own.items():
        part, _, rest = name.partition(".")
        number, _, inner = rest.partition(".")
        source = f"down.{int(number) + 1}.{inner}" if part == "down" else ""
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
    mixed = share * found + (1 - share) * image.target
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
