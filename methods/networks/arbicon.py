"""Arbicon-Net: arbitrary continuous geometric transformation networks (NeurIPS 2019).

Points are in unit frames. A warp sends points of the target to the source, which is the direction
in which the source is resampled into the target's frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imedbench.methods.networks.correlation import (
    Consensus,
    OffsetReadout,
    SolvedAffine,
    centred,
    cosine_correlation,
    mutual_matching,
)
from imedbench.methods.networks.unet import Encoder, channels_last
from imedbench.methods.networks.unit_frame import apply_affine, resample_affine, smooth_grid

Encode = Callable[[Tensor], Tensor]
Readout = Literal["flat", "offsets"]


@dataclass(frozen=True, eq=False)
class FirstStage:
    """What the affine stage found for a batch of pairs.

    Args:
        affine: B×2×3, source points from target points.
        correlation: that it was read off, B×h×w×H×W, source cells first.
    """

    affine: Tensor
    correlation: Tensor


@dataclass(frozen=True, eq=False)
class Warp:
    """What the registration head found for a batch of pairs.

    Args:
        affine: B×2×3, source points from target points.
        descriptor: B×D, what the displacement network reads the rest of the warp from.
        predictor: the displacement network.
        correlation: of the first stage, B×h×w×H×W, for drawings and the soft-inlier score.
    """

    affine: Tensor
    descriptor: Tensor
    predictor: DisplacementPredictor
    correlation: Tensor

    def source_from_target(self, points: Tensor) -> Tensor:
        """Say where points of the target lie in the source.

        Args:
            points: B×N×2 in the target's unit frame.

        Returns:
            B×N×2 in the source's unit frame.
        """
        return apply_affine(self.affine, points + self.predictor(self.descriptor, points))

    def resample(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """Show the source in the target's frame, black outside, B×C×height×width.

        Args:
            image: of the source, B×C×H×W.
            size: height and width of the target.
        """
        grid = smooth_grid(
            lambda points: self.source_from_target(points.expand(len(image), -1, -1)),
            size,
            device=image.device,
        )
        return F.grid_sample(image, grid, align_corners=False)


class AffineStage(nn.Module):
    """Reads a first affine transform off a correlation (Rocco, Arandjelović and Sivic 2017).

    Args:
        grid: side of the square feature maps, cells.
    """

    def __init__(self, grid: int = 15) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(grid * grid, 128, 7),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, 64, 5),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(64 * (grid - 10) ** 2, 6),
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, 0.0, 1e-3)  # start from the identity
        nn.init.zeros_(last.bias)

    def forward(self, correlation: Tensor) -> Tensor:
        """Source points from target points, B×g×g×g×g → B×2×3."""
        matches = F.normalize(F.relu(correlation.flatten(1, 2)), dim=1)
        change: Tensor = self.layers(matches).reshape(-1, 2, 3)
        return change + torch.eye(2, 3, device=change.device)


class DisplacementPredictor(nn.Module):
    """A point-wise network that moves points as a descriptor says: dense and smooth.

    Args:
        descriptor: size of the transformation descriptor.
        widths: of the hidden layers.
    """

    def __init__(self, descriptor: int = 256, widths: Sequence[int] = (256, 256, 64)) -> None:
        super().__init__()
        sizes = [descriptor + 2, *widths]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.Softplus()]
        last = nn.Linear(sizes[-1], 2)
        nn.init.normal_(last.weight, 0.0, 1e-3)  # start from no displacement
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, descriptor: Tensor, points: Tensor) -> Tensor:
        """Displacements.

        Args:
            descriptor: B×D.
            points: B×N×2 in the unit frame.

        Returns:
            B×N×2, to be added to the points.
        """
        batch, count = points.shape[:2]
        told = descriptor[:, None].expand(-1, count, -1)
        moved: Tensor = self.layers(torch.cat([told, points], dim=-1).flatten(0, 1))
        return moved.reshape(batch, count, 2)


class RegistrationHead(nn.Module):
    """From the features of two images to a warp: affine stage, consensus, displacement.

    Args:
        grid: side of the square feature maps, cells.
        descriptor: size of the transformation descriptor.
        consensus: channels of the 4-D convolutions.
        readout: how correlations are read: ``flat``, by regression over all of them, as in the
            paper; ``offsets``, by a soft arg-max, see `SolvedAffine` and `OffsetReadout`.
    """

    def __init__(
        self,
        grid: int = 15,
        descriptor: int = 256,
        consensus: Sequence[int] = (10, 10),
        readout: Readout = "flat",
    ) -> None:
        super().__init__()
        self.affine = AffineStage(grid) if readout == "flat" else SolvedAffine()
        self.consensus = Consensus(consensus)
        self.offsets = OffsetReadout() if readout == "offsets" else None
        self.describe = nn.Linear(3 * grid**2 if self.offsets else grid**4, descriptor)
        self.predictor = DisplacementPredictor(descriptor)

    def forward(
        self, encode: Encode, source: Tensor, source_features: Tensor, target_features: Tensor
    ) -> Warp:
        """Register two batches of images.

        Args:
            encode: images to features, B×C×H×W → B×F×grid×grid.
            source: B×C×H×W.
            source_features: of the source, B×F×grid×grid.
            target_features: of the target, B×F×grid×grid.

        Returns:
            The warp that sends target points to the source.
        """
        goal = centred(target_features)
        first = self.first_stage(source_features, target_features)
        nearer = centred(encode(resample_affine(source, first.affine.detach())))
        cosines = cosine_correlation(nearer, goal)
        agreed = mutual_matching(self.consensus(mutual_matching(F.relu(cosines))))
        told = agreed if self.offsets is None else self.offsets(cosines, agreed)
        descriptor = self.describe(told.flatten(1))
        return Warp(first.affine, descriptor, self.predictor, first.correlation)

    def first_stage(self, source_features: Tensor, target_features: Tensor) -> FirstStage:
        """Return the affine stage alone, from features B×F×grid×grid."""
        correlation = cosine_correlation(centred(source_features), centred(target_features))
        return FirstStage(self.affine(correlation), correlation)


class ArbiconNet(nn.Module):
    """Feature encoder and registration head.

    Args:
        widths: channels of the encoder, finest first; the last level is compared.
        grid: cells a side of the last level; images are grid·2**(levels - 1) px a side.
        descriptor: size of the transformation descriptor; 256 in the paper.
        consensus: channels of the 4-D convolutions.
        in_channels: of the images.

    Example:
        >>> net = ArbiconNet(widths=(2, 4), grid=12, descriptor=8).eval()
        >>> warp = net(torch.rand(1, 1, 24, 24), torch.rand(1, 1, 24, 24))
        >>> warp.source_from_target(torch.zeros(1, 5, 2)).shape
        torch.Size([1, 5, 2])
    """

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 64, 128, 128),
        grid: int = 15,
        descriptor: int = 256,
        consensus: Sequence[int] = (10, 10),
        in_channels: int = 1,
    ) -> None:
        super().__init__()
        self.size = grid * 2 ** (len(widths) - 1)
        self.encoder = channels_last(Encoder(widths, in_channels))
        self.head = RegistrationHead(grid, descriptor, consensus)

    def forward(self, source: Tensor, target: Tensor) -> Warp:
        """Register two batches of images, B×C×size×size each."""
        features = self.features(source), self.features(target)
        warp: Warp = self.head(self.features, source, *features)
        return warp

    def features(self, image: Tensor) -> Tensor:
        """Say what is compared, B×C×size×size → B×widths[-1]×grid×grid."""
        return self.encoder.encode(image)[-1]

    def first_stage(self, source: Tensor, target: Tensor) -> FirstStage:
        """Return the affine stage alone."""
        return self.head.first_stage(self.features(source), self.features(target))
