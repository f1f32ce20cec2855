"""The encoder that segments, matches and refines: a small U-Net that starts at a quarter."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from imedbench.methods.networks.correlation import centred

_CELL = 4  # px, side of the cells that the encoder starts from


@dataclass(frozen=True, eq=False)
class Features:
    """What the encoder makes of images.

    Args:
        coarse: unit vectors at an eighth of the resolution, B×64×S/8×S/8.
        fine: unit vectors at a quarter, B×24×S/4×S/4.
        vessels: logits of the vessels, B×1×S×S; empty unless asked for.
    """

    coarse: Tensor
    fine: Tensor
    vessels: Tensor

    def __getitem__(self, part: slice) -> Features:
        return Features(self.coarse[part], self.fine[part], self.vessels[part])


class NormalisedConv(nn.Module):
    """3×3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Features, B×inputs×H×W → B×outputs×H×W, or half as fine with stride 2."""
        return F.relu(self.norm(self.conv(x)), inplace=True)

    def fold(self) -> None:
        """Fold the normalisation into the convolution; for inference only."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()


class Encoder(nn.Module):
    """A small U-Net from a quarter of the resolution on, shared by all stages."""

    def __init__(self) -> None:
        super().__init__()
        self.quarter = nn.Sequential(NormalisedConv(_CELL**2, 32), NormalisedConv(32, 32))
        self.eighth = nn.Sequential(NormalisedConv(32, 56, 2), NormalisedConv(56, 56))
        self.sixteenth = nn.Sequential(NormalisedConv(56, 80, 2), NormalisedConv(80, 80))
        self.deepest = nn.Sequential(NormalisedConv(80, 96, 2), NormalisedConv(96, 96))
        self.up_sixteenth, self.up_eighth = NormalisedConv(176, 80), NormalisedConv(136, 64)
        self.reduced, self.up_quarter = nn.Conv2d(64, 32, 1), NormalisedConv(64, 32)
        self.coarse, self.fine = nn.Conv2d(64, 64, 1), nn.Conv2d(32, 24, 1)
        self.vessels = nn.Conv2d(32, _CELL**2, 3, padding=1)

    def forward(self, image: Tensor, *, vessels: bool = False) -> Features:
        """Features of images, and the vessels if asked for."""
        quarter = self.quarter(F.pixel_unshuffle(image, _CELL))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        up = self.up_sixteenth(torch.cat([sixteenth, _doubled(self.deepest(sixteenth))], 1))
        up = self.up_eighth(torch.cat([eighth, _doubled(up)], 1))
        top = self.up_quarter(torch.cat([quarter, _doubled(self.reduced(up))], 1))
        logits = F.pixel_shuffle(self.vessels(top), _CELL) if vessels else image.new_empty(0)
        coarse, fine = (_unit_vectors(f) for f in (self.coarse(up), self.fine(top)))
        return Features(coarse, fine, logits.float())


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _unit_vectors(features: Tensor) -> Tensor:
    return F.normalize(centred(features.float()), dim=1)
