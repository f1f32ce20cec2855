"""SuperPoint: keypoints and descriptors in one pass (DeTone, Malisiewicz, Rabinovich 2018).

Images are B×1×H×W in [0, 1]. Points are (x, y) px, pixel centres at integers. One cell is the 8×8
px that share a position of the last feature map.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import convert_conv2d_weight_memory_format

from imedbench.methods.networks.keypoints import (
    CELL,
    Detection,
    Keypoints,
    pick_keypoints,
    sample_descriptors,
    score_map,
)

_BAND = 32  # rows
_HALO = 2  # rows that two 3×3 convolutions look beyond a band


@dataclass(frozen=True, eq=False)
class DenseFeatures:
    """What the network itself gives, h = H / 8 and w = W / 8.

    Args:
        logits: B×65×h×w; 64 pixels of the cell row by row, then "no keypoint here".
        descriptors: B×D×h×w, unit length.
    """

    logits: Tensor
    descriptors: Tensor


class ConvPair(nn.Module):
    """Two convolutions; ReLU after the first, and after the second where asked."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, kernel: int = 3, last_relu: bool = True
    ):
        super().__init__()
        self.conv_a = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.conv_b = nn.Conv2d(hidden, outputs, kernel, padding=kernel // 2)
        self.last_relu = last_relu

    def forward(self, x: Tensor) -> Tensor:
        """B×inputs×h×w to B×outputs×h×w."""
        x = self.conv_b(F.relu(self.conv_a(x), inplace=True))
        return F.relu(x, inplace=True) if self.last_relu else x


class SuperPoint(nn.Module):
    """The network of the paper: VGG-like encoder, detector head, descriptor head.

    Args:
        descriptor_dim: D.

    Example:
        >>> network = SuperPoint().eval()
        >>> found = network.detect(torch.rand(2, 1, 64, 96), Detection(max_keypoints=20))
        >>> found.points.shape, found.descriptors.shape
        (torch.Size([2, 20, 2]), torch.Size([2, 20, 256]))
    """

    def __init__(self, descriptor_dim: int = 256):
        super().__init__()
        sizes = (1, 64, 64, 128, 128)
        self.encoder = nn.ModuleList(
            ConvPair(inputs, outputs, outputs) for inputs, outputs in pairwise(sizes)
        )
        self.detector = ConvPair(sizes[-1], 256, CELL * CELL + 1, kernel=1, last_relu=False)
        self.descriptor = ConvPair(sizes[-1], 256, descriptor_dim, kernel=1, last_relu=False)
        self.descriptor_dim = descriptor_dim
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, images: Tensor) -> DenseFeatures:
        """Dense features.

        Args:
            images: B×1×H×W in [0, 1]; of any size, h and w are rounded down.

        Returns:
            Cell-wise logits and descriptors, in float32 under autocast too.
        """
        x = images.contiguous(memory_format=torch.channels_last)
        first, *rest = self.encoder
        if torch.is_grad_enabled() or x.device.type != "cpu":
            x = F.max_pool2d(first(x), 2, 2)
        else:
            x = _pooled_in_bands(first, x)
        for depth, stage in enumerate(rest):
            x = stage(F.max_pool2d(x, 2, 2) if depth else x)
        descriptors = F.normalize(self.descriptor(x).float(), dim=1)
        return DenseFeatures(self.detector(x).float(), descriptors)

    def detect(
        self, images: Tensor, detection: Detection | None = None, mask: Tensor | None = None
    ) -> Keypoints:
        """Keypoints with their descriptors.

        Args:
            images: B×1×H×W in [0, 1]; any size (rows and columns beyond a multiple of 8 are not
                searched).
            detection: how keypoints are picked.
            mask: bool B×H×W, where keypoints may lie.

        Returns:
            K keypoints an image: ``max_keypoints``, or as many as the richest image has.
        """
        dense = self(images)
        scores = score_map(dense.logits)
        if mask is not None:
            scores = scores * mask[:, : scores.shape[1], : scores.shape[2]]
        picked = detection or Detection()
        points, values, valid = pick_keypoints(scores, picked)
        return Keypoints(points, values, sample_descriptors(dense.descriptors, points), valid)


def _pooled_in_bands(stage: nn.Module, x: Tensor) -> Tensor:
    """``max_pool2d(stage(x), 2, 2)``, some rows at a time.

    Its activations, the largest of the network, then stay in the processor's cache: twice as fast.
    """
    height = x.shape[2] // 2 * 2
    bands = []
    for top in range(0, height, _BAND):
        bottom = min(top + _BAND, height)
        start, stop = max(0, top - _HALO), min(x.shape[2], bottom + _HALO)
        band = stage(x[:, :, start:stop])[:, :, top - start : bottom - start]
        bands.append(F.max_pool2d(band, 2, 2))
    return torch.cat(bands, dim=2)
