"""Train the report's one-level joint network: one encoder segments and registers (section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from imedbench.core.errors import BadInput
from imedbench.methods import weights
from imedbench.methods.networks.arbicon import ArbiconNet, Readout
from imedbench.methods.networks.joint import JointNetwork, JointOutput
from imedbench.methods.networks.losses.registration import (
    chamfer_distance,
    distance_map,
    grid_loss,
    reverse_hinge,
)
from imedbench.methods.networks.losses.segmentation import dice_loss
from imedbench.methods.training.arbicon import (
    PX_512,
    first_stage_losses,
    overlay_row,
    supervision,
)
from imedbench.methods.training.augment import pick
from imedbench.methods.training.joint_data import read_retinas
from imedbench.methods.training.pair_task import PairConfig, PairTask
from imedbench.methods.training.task import Sample
from imedbench.methods.training.warped_pairs import Retina, restyle, warped_pair

TEACHER = "vessels"  # finds the vessels of images that come without a mask


@dataclass(frozen=True, kw_only=True)
class ReportConfig(PairConfig):
    """Settings of the joint network.

    Args:
        widths: channels of the shared U-Net, finest first.
        grid: cells a side of its last level.
        descriptor: size of the transformation descriptor.
        consensus: channels of the 4-D convolutions.
        readout: ``flat``, the paper's, or ``offsets``, which learns from fewer pairs.
        transformer_weights: name of the shipped generator from colour fundus to OCTA, which stays
            frozen; empty to show both images with bright vessels instead.
        segmentation_weights: name of a shipped U-Net to start from; empty for none.
        registration_weights: name of a shipped Arbicon-Net to start from; empty for none.
        zooms: magnification of each data folder at the transfer, 1 for images 512 px wide; a
            single one is for all.
        chamfer: weight of the Chamfer distance, 1/px.
        truncation: px at which it stops growing; 0 for never.
        supervised: weight of the grid loss, for which the warps are known here; 0 leaves the
            report's losses alone.
        matching: weight of the cross-entropy between cells that show the same place.
    """

    widths: tuple[int, ...] = (8, 16, 32, 64, 128)
    grid: int = 15
    descriptor: int = 256
    consensus: tuple[int, ...] = (10, 10)
    readout: str = "flat"
    transformer_weights: str = "cf_to_octa"
    segmentation_weights: str = "vessels"
    registration_weights: str = ""
    zooms: tuple[float, ...] = (1.0,)
    chamfer: float = 0.1
    truncation: float = 0.0
    supervised: float = 1.0
    matching: float = 0.05
    rotation: float = 15.0
    scale: float = 1.2
    shift: float = 0.1
    bend: float = 0.03
    field_min: float = 0.4


class ReportTask(PairTask[ReportConfig]):
    """The report's overall loss (Eq. 6), with a grid loss where the warp is known.

    Args:
        config: settings.
        folders: the retinas of each folder; each folder gives the same share of pairs.
    """

    def __init__(self, config: ReportConfig, folders: Sequence[Sequence[Retina]]) -> None:
        super().__init__(config)
        self._arguments = _arguments(config)
        self.net = JointNetwork(**self._arguments)
        self.take(folders, self.net.size)
        _start(self.net, config)

    def sample(self, retinas: Sequence[Retina], rng: np.random.Generator) -> Sample:
        """Source and target with their vessels, 1×S×S, and grid points with where they belong."""
        config, size = self.config, self.net.size
        pair = warped_pair(pick(retinas, rng), size, config.warps, rng)
        source = restyle(pair.source, rng, drawn=0, clean=config.clean)
        target = restyle(pair.target, rng, drawn=0, clean=config.clean)
        planes = {
            "source": source,
            "target": target,
            "source_vessels": pair.source.vessels,
            "target_vessels": pair.target.vessels,
        }
        sample = {name: torch.from_numpy(plane)[None] for name, plane in planes.items()}
        sample["distance"] = distance_map(sample["target_vessels"][None])[0]
        return {**sample, **supervision(pair, size, config.grid)}

    def training_step(self, batch: Sample, index: int) -> Tensor:
        """Return the overall loss of one batch."""
        losses = self.losses(self.net(batch["source"], batch["target"]), batch)
        names = ("dice", "cross_entropy", "reverse_hinge", "chamfer")
        total = torch.stack([losses[name] for name in names]).sum()  # its Eq. 6
        total = total + self.config.supervised * (losses["affine"] + losses["grid"])
        total = total + self.config.matching * losses["matching"]
        self.log_values("train", {**losses, "loss": total}, len(batch["source"]))
        return total

    def losses(self, output: JointOutput, batch: Sample) -> dict[str, Tensor]:
        """Return every loss by name, scalars; the Chamfer distance is weighted already."""
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
            "cross_entropy": F.binary_cross_entropy_with_logits(logits, vessels),
            "reverse_hinge": reverse_hinge(batch["target_vessels"], warped),
            "chamfer": self.config.chamfer * chamfer,
            "grid": grid_loss(output.warp.source_from_target(batch["points"]), batch["true"]),
            **first_stage_losses(output.warp, batch),
        }

    def validation_step(self, batch: Sample, index: int) -> None:
        """Mean distance of the grid points from where they belong, in px at 512."""
        output = self.net(batch["source"], batch["target"])
        found = output.warp.source_from_target(batch["points"])
        error = (found - batch["true"]).norm(dim=-1).mean() * PX_512
        dice = 1 - dice_loss(output.target_logits.sigmoid(), batch["target_vessels"])
        self.log_values("val", {"score": error, "dice": dice}, len(batch["source"]))

    def pictures(self) -> NDArray[np.uint8]:
        """Source, target and both overlaid, before and after."""
        rows = []
        for sample in self.shown_samples():
            source, target = (sample[name][None].to(self.device) for name in ("source", "target"))
            moved = self.net.register(source, target).resample(source, (self.net.size,) * 2)
            rows.append(overlay_row(source[0, 0], target[0, 0], moved[0, 0]))
        return np.vstack(rows)

    def configure_optimizers(self) -> Any:
        """AdamW along a cosine; the modality transformer is not among the parameters."""
        return self.cosine([p for p in self.net.parameters() if p.requires_grad])

    def products(self) -> Mapping[str, tuple[nn.Module, str, Mapping[str, Any]]]:
        """Return the whole network, its modality transformer included."""
        return {"joint-report": (self.net, "joint:JointNetwork", self._arguments)}


def build(config: ReportConfig, data: Sequence[Path]) -> ReportTask:
    """Read eyes to train the joint network on.

    Args:
        config: settings.
        data: folders with ``pairs.csv`` and landmarks, or with ``images/train/ID.png`` and
            ``vessels/train/ID.png``.
    """
    folders = read_retinas(data, "train", config.zooms, config.transformer_weights, TEACHER)
    return ReportTask(config, folders)


def _arguments(config: ReportConfig) -> dict[str, Any]:
    """What the network is built with; the transformer is as its weights say."""
    if config.readout not in get_args(Readout):
        known = ", ".join(get_args(Readout))
        raise BadInput(f"readout must be one of {known}, not {config.readout!r}")
    generator = {"width": 0, "blocks": 0}
    if config.transformer_weights:
        generator = dict(weights.read_card(config.transformer_weights).arguments)
    return {
        "widths": list(config.widths),
        "grid": config.grid,
        "descriptor": config.descriptor,
        "consensus": list(config.consensus),
        "readout": config.readout,
        "generator_width": generator["width"],
        "generator_blocks": generator["blocks"],
    }


def _start(net: JointNetwork, config: ReportConfig) -> None:
    """Load the parts that were trained before."""
    if net.transformer is not None:
        net.transformer.load_state_dict(weights.load(config.transformer_weights).state_dict())
    if config.segmentation_weights:
        net.unet.load_state_dict(weights.load(config.segmentation_weights).state_dict())
    if config.registration_weights:
        arbicon = weights.load(config.registration_weights)
        assert isinstance(arbicon, ArbiconNet)
        head = arbicon.head.state_dict()
        if config.readout == "offsets":  # the rest reads its correlation in another way
            head = {k: v for k, v in head.items() if k.startswith("consensus.")}
        net.head.load_state_dict(head, strict=config.readout == "flat")
        net.unet.load_state_dict(arbicon.encoder.state_dict(), strict=False)
