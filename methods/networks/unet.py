"""Networks that find vessels: U-Net (Ronneberger et al., MICCAI 2015), and a small one of lines."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

Net = TypeVar("Net", bound=nn.Module)


class ConvBlock(nn.Module):
    """Two 3×3 convolutions, each followed by batch normalisation and ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features, B×in×H×W → B×out×H×W."""
        x = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(x)), inplace=True)

    def fold(self) -> None:
        """Fold the normalisations into the convolutions; for inference only."""
        if isinstance(self.norm1, nn.BatchNorm2d) and isinstance(self.norm2, nn.BatchNorm2d):
            self.conv1 = fuse_conv_bn_eval(self.conv1, self.norm1)
            self.conv2 = fuse_conv_bn_eval(self.conv2, self.norm2)
            self.norm1 = self.norm2 = nn.Identity()


class Encoder(nn.Module):
    """Features at several resolutions, each half as fine as the one before.

    Args:
        widths: channels at each level, finest first.
        in_channels: channels of the image.
    """

    def __init__(self, widths: Sequence[int], in_channels: int = 1) -> None:
        super().__init__()
        inputs = [in_channels, *widths[:-1]]
        self.down = nn.ModuleList(ConvBlock(i, o) for i, o in zip(inputs, widths, strict=True))

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features at every level, finest first.

        Args:
            image: B×C×H×W, sides divisible by 2**(levels - 1).

        Returns:
            One B×widths[i]×H/2**i×W/2**i tensor a level.
        """
        features = [self.down[0](image)]
        for block in self.down[1:]:
            features.append(block(F.max_pool2d(features[-1], 2)))
        return features


class VesselNetwork(Encoder):
    """An encoder and a decoder that find vessels in images of any size.

    The subclass makes `up`, whose blocks can be folded, and says what it finds.

    Args:
        widths: channels at each level, finest first.
        in_channels: channels of the image.
        stem: side of the squares of pixels that become channels before the first convolution and
            pixels again after the last (Shi et al., CVPR 2016); 2 spares all work at full size.
    """

    up: nn.ModuleList

    def __init__(self, widths: Sequence[int], in_channels: int = 1, stem: int = 1) -> None:
        super().__init__(widths, in_channels * stem**2)
        self.stem = stem

    @property
    def step(self) -> int:
        """Of which the sides of an image are multiples that needs no padding, px."""
        return int(self.stem * 2 ** (len(self.down) - 1))

    @abstractmethod
    def find(self, image: Tensor) -> Tensor:
        """Return what `forward` does for an image whose sides are multiples of `step`."""

    def forward(self, image: Tensor) -> Tensor:
        """Find vessels.

        Args:
            image: B×C×H×W, bright vessels on an even ground, in [0, 1].

        Returns:
            B×out×H×W, what the network is made to find.
        """
        height, width = image.shape[-2:]
        step = self.step
        padding = (0, -width % step, 0, -height % step)
        padded = F.pad(image, padding, mode="replicate") if any(padding) else image
        return self.find(padded)[..., :height, :width]

    def folded(self) -> Self:
        """Return a copy for inference: normalisation folded in, channels last, no gradients."""
        net = copy.deepcopy(self).eval().requires_grad_(False)
        for block in [*net.down, *net.up]:
            block.fold()
        return channels_last(net)


class UNet(VesselNetwork):
    """Encoder and decoder joined by skip connections; finds logits of vessels.

    Args:
        widths: channels at each level, finest first.
        in_channels: channels of the image.
        out_channels: channels of the logits.

    Example:
        >>> net = UNet(widths=(4, 8))
        >>> net(torch.zeros(1, 1, 30, 45)).shape
        torch.Size([1, 1, 30, 45])
    """

    def __init__(
        self,
        widths: Sequence[int] = (8, 16, 32, 64, 128),
        in_channels: int = 1,
        out_channels: int = 1,
    ) -> None:
        super().__init__(widths, in_channels)
        coarse = list(reversed(widths))
        self.up = nn.ModuleList(ConvBlock(below + skip, skip) for below, skip in pairwise(coarse))
        self.head = nn.Conv2d(widths[0], out_channels, 1)

    def find(self, image: Tensor) -> Tensor:
        """Logits of the vessels, which a sigmoid makes probabilities, B×out×H×W."""
        return self.decode(self.encode(image))

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Logits of the vessels from the features of every level, B×out×H×W."""
        x = features[-1]
        for block, skip in zip(self.up, reversed(features[:-1]), strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], dim=1))
        logits: Tensor = self.head(x)
        return logits


class Join(nn.Module):
    """Coarse features added to finer ones, then a 3×3 convolution, normalisation and ReLU.

    The coarse ones lose their surplus channels before they are enlarged, and nothing is
    concatenated: a quarter of the work of a U-Net's decoder.

    Args:
        coarse: channels of the coarse features.
        fine: channels of the fine features and of the result.
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(coarse, fine, 1)
        self.conv = nn.Conv2d(fine, fine, 3, padding=1, bias=False)
        self.norm: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Features at the finer resolution, B×coarse×h×w and B×fine×2h×2w → B×fine×2h×2w."""
        x = F.interpolate(self.reduce(coarse), scale_factor=2.0, mode="bilinear")
        return F.relu(self.norm(self.conv(x + fine)), inplace=True)

    def fold(self) -> None:
        """Fold the normalisation into the convolution; for inference only."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()


class VesselLines(VesselNetwork):
    """A small network that finds vessels and which way they run, with no filters to follow.

    It finds three planes: strength, and strength times cosine and sine of twice the direction, as
    the filters do in the evidence of a U-Net (`vessel_filters.evidence_responses`).

    Args:
        widths: channels at each level, that of half the image's resolution first.

    Example:
        >>> net = VesselLines(widths=(4, 8))
        >>> net(torch.zeros(1, 1, 30, 45)).shape
        torch.Size([1, 3, 30, 45])
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 128)) -> None:
        super().__init__(widths, stem=2)
        coarse = list(reversed(widths))
        self.up = nn.ModuleList(Join(below, skip) for below, skip in pairwise(coarse))
        self.head = nn.Conv2d(widths[0], 3 * self.stem**2, 3, padding=1)

    def find(self, image: Tensor) -> Tensor:
        """Strength, and strength times cosine and sine of twice the direction, B×3×H×W."""
        features = self.encode(F.pixel_unshuffle(image, self.stem))
        x = features[-1]
        for join, skip in zip(self.up, reversed(features[:-1]), strict=True):
            x = join(x, skip)
        return F.pixel_shuffle(self.head(x), self.stem)


def channels_last(net: Net) -> Net:
    """Return the network with its weights laid out channels last, a quarter faster on a CPU."""
    laid_out: Net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return laid_out
