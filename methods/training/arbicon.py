"""Train Arbicon-Net on warps that are known: strong supervision by a grid of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from imedbench.methods import weights
from imedbench.methods.networks.arbicon import ArbiconNet, FirstStage, Warp
from imedbench.methods.networks.losses.registration import (
    grid_loss,
    matching_loss,
    soft_inlier_score,
)
from imedbench.methods.networks.unet import UNet
from imedbench.methods.networks.unit_frame import (
    apply_affine,
    grid_points,
    to_pixels,
    to_unit,
)
from imedbench.methods.training.augment import pick
from imedbench.methods.training.pair_task import PairConfig, PairTask
from imedbench.methods.training.task import Sample
from imedbench.methods.training.vessel_folders import read_folder
from imedbench.methods.training.warped_pairs import (
    Retina,
    WarpedPair,
    restyle,
    warped_pair,
)

GRID = 20  # points a side that the loss is taken on
PX_512 = 256.0  # px of a 512 px wide image in one unit


@dataclass(frozen=True, kw_only=True)
class ArbiconConfig(PairConfig):
    """Settings of Arbicon-Net; sizes of the network are the paper's.

    Args:
        widths: channels of the encoder, finest first.
        grid: cells a side of the compared features.
        descriptor: size of the transformation descriptor.
        consensus: channels of the 4-D convolutions.
        encoder_weights: name of a shipped U-Net whose encoder to start from; empty for none.
        affine_epochs: first so many epochs train the affine stage alone, which is faster.
        supervised: weight of the grid loss of the whole warp; 0 for weak supervision alone.
        matching: weight of the cross-entropy between cells that show the same place.
        weak: weight of the soft-inlier score, which needs no truth and is to grow.
        drawn: share of pairs in which both views are vessel maps.
        clean: share of the other views that are not degraded.
    """

    widths: tuple[int, ...] = (16, 32, 64, 128, 128)
    grid: int = 15
    descriptor: int = 256
    consensus: tuple[int, ...] = (10, 10)
    encoder_weights: str = ""
    affine_epochs: int = 0
    supervised: float = 1.0
    matching: float = 0.05
    weak: float = 0.0
    drawn: float = 0.5


class ArbiconTask(PairTask[ArbiconConfig]):
    """Grid loss of the affine stage and of the whole warp; scored by the mean error in px.

    Args:
        config: settings.
        folders: the retinas of each folder; each folder gives the same share of pairs.
    """

    def __init__(self, config: ArbiconConfig, folders: Sequence[Sequence[Retina]]) -> None:
        super().__init__(config)
        self.net = ArbiconNet(config.widths, config.grid, config.descriptor, config.consensus)
        self.take(folders, self.net.size)
        if config.encoder_weights:
            start_encoder(self.net.encoder, config.encoder_weights)

    def sample(self, retinas: Sequence[Retina], rng: np.random.Generator) -> Sample:
        """Source and target, 1×S×S, and grid points of the target with where they belong."""
        config, size = self.config, self.net.size
        pair = warped_pair(pick(retinas, rng), size, config.warps, rng)
        drawn = float(rng.random() < config.drawn)
        source, target = (
            torch.from_numpy(restyle(crop, rng, drawn=drawn, clean=config.clean))[None]
            for crop in (pair.source, pair.target)
        )
        return {"source": source, "target": target, **supervision(pair, size, config.grid)}

    def training_step(self, batch: Sample, index: int) -> Tensor:
        """Grid loss of one batch."""
        config, source, target = self.config, batch["source"], batch["target"]
        warp: Warp | None = None
        if self.current_epoch < config.affine_epochs:
            first = self.net.first_stage(source, target)
        else:
            first = warp = self.net(source, target)
        losses = first_stage_losses(first, batch)
        loss = config.supervised * losses["affine"] + config.matching * losses["matching"]
        if warp is not None:
            losses["grid"] = grid_loss(warp.source_from_target(batch["points"]), batch["true"])
            losses["inliers"] = inlier_score(warp).mean()
            loss = loss + config.supervised * losses["grid"] - config.weak * losses["inliers"]
        self.log_values("train", losses, len(source))
        return loss

    def validation_step(self, batch: Sample, index: int) -> None:
        """Mean distance of the grid points from where they belong, in px at 512."""
        error = self._errors(batch)
        close = (error < 30).float().mean()
        values = {"score": error.mean(), "below_30px": close}
        self.log_values("val", values, len(error))

    def _errors(self, batch: Sample) -> Tensor:
        source, target, points = batch["source"], batch["target"], batch["points"]
        if self.current_epoch < self.config.affine_epochs:
            found = apply_affine(self.net.first_stage(source, target).affine, points)
        else:
            found = self.net(source, target).source_from_target(points)
        distance: Tensor = (found - batch["true"]).norm(dim=-1).mean(dim=-1) * PX_512
        return distance

    def pictures(self) -> NDArray[np.uint8]:
        """Source, target and both overlaid: before in the third column, after in the fourth."""
        rows = []
        for sample in self.shown_samples():
            source, target = (sample[name][None].to(self.device) for name in ("source", "target"))
            warp = self.net(source, target)
            moved = warp.resample(source, (self.net.size, self.net.size))
            rows.append(overlay_row(source[0, 0], target[0, 0], moved[0, 0]))
        return np.vstack(rows)

    def configure_optimizers(self) -> Any:
        """AdamW along a cosine."""
        return self.cosine(self.net.parameters())

    def products(self) -> Mapping[str, tuple[nn.Module, str, Mapping[str, Any]]]:
        """Return the whole network."""
        config = self.config
        arguments = {
            "widths": list(config.widths),
            "grid": config.grid,
            "descriptor": config.descriptor,
            "consensus": list(config.consensus),
        }
        return {"arbicon": (self.net, "arbicon:ArbiconNet", arguments)}


def inlier_score(warp: Warp) -> Tensor:
    """Correlation that a warp gathers where it sends the cells of the target, B."""
    centres = grid_points(warp.correlation.shape[-2:], warp.correlation.device)
    points = warp.source_from_target(centres.expand(len(warp.correlation), -1, -1))
    return soft_inlier_score(F.relu(warp.correlation).permute(0, 3, 4, 1, 2), points)


def first_stage_losses(first: FirstStage | Warp, batch: Sample) -> dict[str, Tensor]:
    """Say what the affine stage is taught by: grid loss and matching loss, scalars by name."""
    moved = apply_affine(first.affine, batch["points"])
    return {
        "affine": grid_loss(moved, batch["true"]),
        "matching": matching_loss(first.correlation, batch["true_cells"]),
    }


def supervision(pair: WarpedPair, size: int, cells: int) -> Sample:
    """Tell where points of the target lie in the source, in unit frames.

    Args:
        pair: two views whose warp is known.
        size: side of the views, px.
        cells: side of the compared features.

    Returns:
        ``points`` on a grid of the target with their ``true`` places, and the true places of the
        centres of the target's cells, ``true_cells``; each N×2.
    """
    side = np.linspace(0, size - 1, GRID)
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    centres = to_pixels(grid_points((cells, cells))[0], (size, size)).numpy()

    def in_unit_frame(pixels: NDArray[np.floating]) -> Tensor:
        return to_unit(torch.from_numpy(pixels), (size, size)).float()

    return {
        "points": in_unit_frame(points),
        "true": in_unit_frame(pair.source_from_target.apply(points)),
        "true_cells": in_unit_frame(pair.source_from_target.apply(centres.astype(np.float64))),
    }


def start_encoder(encoder: nn.Module, name: str) -> None:
    """Give an encoder the weights of a shipped U-Net of the same widths."""
    net = weights.load(name)
    assert isinstance(net, UNet)
    state = {k: v for k, v in net.state_dict().items() if k.startswith("down.")}
    encoder.load_state_dict(state, strict=True)


def overlay_row(source: Tensor, target: Tensor, moved: Tensor) -> NDArray[np.uint8]:
    """Grey source and target, then red-green overlays before and after; H×W each in [0, 1]."""
    planes = [np.clip(p.float().cpu().numpy() * 255, 0, 255) for p in (source, target, moved)]
    grey = [np.repeat(plane[..., None], 3, axis=2) for plane in planes[:2]]
    empty = np.zeros_like(planes[0])
    overlays = [np.stack([empty, planes[1], plane], axis=2) for plane in (planes[0], planes[2])]
    return np.hstack([*grey, *overlays]).astype(np.uint8)


def build(config: ArbiconConfig, data: Sequence[Path]) -> ArbiconTask:
    """Read eyes to train Arbicon-Net on.

    Args:
        config: settings.
        data: folders with ``images/train/ID.png`` and ``vessels/train/ID.png``.
    """
    folders = [[Retina.seen_once(i) for i in read_folder(root, "train")] for root in data]
    return ArbiconTask(config, folders)
