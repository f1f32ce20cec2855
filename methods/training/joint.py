"""Train the joint network: segmentation and registration from one encoder (report, section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from imedbench.methods import weights
from imedbench.methods.networks.arbicon import ArbiconNet
from imedbench.methods.networks.joint import JointNetwork, JointOutput
from imedbench.methods.networks.losses.registration import (
    chamfer_distance,
    distance_map,
    grid_loss,
    joint_loss,
    reverse_hinge,
)
from imedbench.methods.networks.losses.segmentation import cross_entropy, dice_loss
from imedbench.methods.training.arbicon import PX_512, overlay_row, supervision
from imedbench.methods.training.augment import pick
from imedbench.methods.training.config import RunConfig
from imedbench.methods.training.loop import Listed, Sample, TrainingTask, fit
from imedbench.methods.training.vessel_folders import VesselImage, hold_out, read_folder
from imedbench.methods.training.warped_pairs import WarpRange, restyle, shrunk, warped_pair


@dataclass(frozen=True, kw_only=True)
class JointConfig(RunConfig):
    """Settings of the joint network.

    Args:
        widths: channels of the shared U-Net, finest first.
        grid: cells a side of its last level.
        descriptor: size of the transformation descriptor.
        consensus: channels of the 4-D convolutions.
        transformer_weights: name of the shipped generator from colour fundus to OCTA, which stays
            frozen; empty to show both images with bright vessels instead.
        segmentation_weights: name of a shipped U-Net to start from; empty for none.
        registration_weights: name of a shipped Arbicon-Net to start from; empty for none.
        chamfer: weight of the Chamfer distance, 1/px.
        truncation: px at which it stops growing; 0 for never.
        supervised: weight of the grid loss, for which the warps are known here; 0 leaves the
            report's losses alone.
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

    widths: tuple[int, ...] = (8, 16, 32, 64, 128)
    grid: int = 15
    descriptor: int = 256
    consensus: tuple[int, ...] = (10, 10)
    transformer_weights: str = "cf_to_octa"
    segmentation_weights: str = "vessels"
    registration_weights: str = ""
    chamfer: float = 0.1
    truncation: float = 0.0
    supervised: float = 1.0
    rotation: float = 15.0
    scale: float = 1.2
    shift: float = 0.1
    bend: float = 0.03
    field_min: float = 0.4
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


class JointTask(TrainingTask[JointConfig]):
    """The report's overall loss (Eq. 6), with a grid loss where the warp is known.

    Args:
        config: settings.
        folders: the images of each folder; each folder gives the same share of pairs.
    """

    score_mode = "min"

    def __init__(self, config: JointConfig, folders: Sequence[Sequence[VesselImage]]) -> None:
        super().__init__(config)
        self._arguments = _arguments(config)
        self.net = JointNetwork(**self._arguments)
        longest = round(self.net.size / config.field_min)
        splits = [
            hold_out([shrunk(image, longest) for image in images], config.hold_out)
            for images in folders
        ]
        self._train = [train for train, _ in splits]
        self._held_out = [held_out for _, held_out in splits]
        _start(self.net, config)

    def draw(self, rng: np.random.Generator) -> Sample:
        """Source and target with their vessels, 1×S×S, and grid points with where they belong."""
        return self._sample(pick(self._train, rng), rng)

    def _sample(self, images: Sequence[VesselImage], rng: np.random.Generator) -> Sample:
        config, size = self.config, self.net.size
        pair = warped_pair(pick(images, rng), size, config.warps, rng)
        source = restyle(pair.source, rng, drawn=0, clean=config.clean)
        target = restyle(pair.target, rng, drawn=0, clean=config.clean)
        if self.net.transformer is not None:
            source = 1 - source  # the transformer reads colour fundus: dark vessels
        planes = {
            "source": source,
            "target": target,
            "source_vessels": pair.source.vessels,
            "target_vessels": pair.target.vessels,
        }
        sample = {name: torch.from_numpy(plane)[None] for name, plane in planes.items()}
        sample["distance"] = distance_map(sample["target_vessels"][None])[0]
        return {**sample, **supervision(pair, size)}

    def training_step(self, batch: Sample, index: int) -> Tensor:
        """The overall loss of one batch."""
        losses = self.losses(self.net(batch["source"], batch["target"]), batch)
        names = ("dice", "cross_entropy", "reverse_hinge", "chamfer")
        total = joint_loss(*(losses[name] for name in names))
        if self.config.supervised:
            total = total + self.config.supervised * losses["grid"]
        self.log_values("train", {**losses, "loss": total}, len(batch["source"]))
        return total

    def losses(self, output: JointOutput, batch: Sample) -> dict[str, Tensor]:
        """Every loss by name, scalars; the Chamfer distance is weighted already."""
        size = self.net.size
        logits = torch.cat([output.source_logits, output.target_logits]).float()
        vessels = torch.cat([batch["source_vessels"], batch["target_vessels"]])
        warped = output.warp.resample(batch["source_vessels"], (size, size)).float()
        chamfer = chamfer_distance(
            warped,
            batch["distance"],
            count=batch["source_vessels"].sum(dim=(1, 2, 3)),
            truncation=self.config.truncation or None,
        )
        return {
            "dice": dice_loss(logits.sigmoid(), vessels),
            "cross_entropy": cross_entropy(logits, vessels),
            "reverse_hinge": reverse_hinge(batch["target_vessels"], warped),
            "chamfer": self.config.chamfer * chamfer,
            "grid": grid_loss(output.warp.source_from_target(batch["points"]), batch["true"]),
        }

    def val_dataloader(self) -> DataLoader[Sample]:
        """Pairs of held-out images, the same at every validation."""
        config = self.config
        pairs = [
            self._sample(
                self._held_out[i % len(self._held_out)], np.random.default_rng([config.seed, 7, i])
            )
            for i in range(config.validation_pairs)
        ]
        return DataLoader(Listed(pairs), batch_size=config.batch_size)

    def validation_step(self, batch: Sample, index: int) -> None:
        """Mean distance of the grid points from where they belong, in px at 512."""
        output = self.net(batch["source"], batch["target"])
        found = output.warp.source_from_target(batch["points"])
        error = (found - batch["true"]).norm(dim=-1).mean() * PX_512
        dice = 1 - dice_loss(output.target_logits.sigmoid(), batch["target_vessels"])
        self.log_values("val", {"score": error, "dice": dice}, len(batch["source"]))

    def pictures(self) -> NDArray[np.uint8]:
        """Fake source, target and both overlaid, before and after."""
        rows = []
        for index, images in enumerate(self._held_out):
            sample = self._sample(images, np.random.default_rng([self.config.seed, 8, index]))
            source, target = (sample[name][None].to(self.device) for name in ("source", "target"))
            output = self.net(source, target)
            moved = output.warp.resample(output.fake, (self.net.size, self.net.size))
            rows.append(overlay_row(output.fake[0, 0], target[0, 0], moved[0, 0]))
        return np.vstack(rows)

    def configure_optimizers(self) -> Any:
        """AdamW along a cosine; the modality transformer is not among the parameters."""
        return self.cosine([p for p in self.net.parameters() if p.requires_grad])

    def products(self) -> Mapping[str, tuple[nn.Module, str, Mapping[str, Any]]]:
        """The whole network, its modality transformer included."""
        return {"joint": (self.net, "joint:JointNetwork", self._arguments)}


def train(
    config: JointConfig, data: Sequence[Path], out: Path, *, resume: bool = False
) -> JointTask:
    """Train the joint network.

    Args:
        config: settings.
        data: folders with ``images/train/ID.png`` and ``vessels/train/ID.png``.
        out: the run folder.
        resume: go on from the last checkpoint.

    Returns:
        The task with the weights of its best epoch.
    """
    L.seed_everything(config.seed, verbose=False)
    task = JointTask(config, [read_folder(root, "train") for root in data])
    seen = tuple(f"{root.name}/train" for root in data)
    return fit(task, out, resume=resume, trained_on=seen)


def _arguments(config: JointConfig) -> dict[str, Any]:
    """What the network is built with; the transformer is as its weights say."""
    generator = {"width": 0, "blocks": 0}
    if config.transformer_weights:
        generator = dict(weights.read_card(config.transformer_weights).arguments)
    return {
        "widths": list(config.widths),
        "grid": config.grid,
        "descriptor": config.descriptor,
        "consensus": list(config.consensus),
        "generator_width": generator["width"],
        "generator_blocks": generator["blocks"],
    }


def _start(net: JointNetwork, config: JointConfig) -> None:
    """Load the parts that were trained before."""
    if net.transformer is not None:
        net.transformer.load_state_dict(weights.load(config.transformer_weights).state_dict())
    if config.segmentation_weights:
        net.unet.load_state_dict(weights.load(config.segmentation_weights).state_dict())
    if config.registration_weights:
        arbicon = weights.load(config.registration_weights)
        assert isinstance(arbicon, ArbiconNet)
        net.head.load_state_dict(arbicon.head.state_dict())
        net.unet.load_state_dict(arbicon.encoder.state_dict(), strict=False)
