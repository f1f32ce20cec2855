"""Convolution over the four dimensions of a correlation, which torch does not have."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv4d(nn.Module):
    """Convolution over four spatial dimensions, zero-padded to keep their sizes.

    One 3-D convolution makes the contributions of all slices of the kernel along the first
    dimension; they are then shifted and summed.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel: odd side of the kernel.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_channels * kernel**4)
        shape = (out_channels, in_channels, *(kernel,) * 4)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """B×in×h×w×H×W → B×out×h×w×H×W."""
        outputs, inputs, kernel = self.weight.shape[:3]
        batch, _, h, *rest = x.shape
        slices = x.transpose(1, 2).reshape(batch * h, inputs, *rest)
        weight = self.weight.transpose(1, 2).transpose(0, 1)  # kernel first
        parts = F.conv3d(slices, weight.reshape(-1, inputs, *(kernel,) * 3), padding=kernel // 2)
        parts = parts.reshape(batch, h, kernel, outputs, *rest)
        padded = F.pad(parts, (0, 0) * (parts.ndim - 2) + (kernel // 2,) * 2)
        total = sum(padded[:, k : k + h, k] for k in range(kernel))
        assert isinstance(total, Tensor)  # sum() of nothing would be an int
        return total.transpose(1, 2) + self.bias.reshape(1, -1, 1, 1, 1, 1)


class BatchNorm4d(nn.BatchNorm1d):
    """Batch normalisation of B×C×h×w×H×W by channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input."""
        return super().forward(x.flatten(2)).reshape(x.shape)
