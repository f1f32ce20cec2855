"""Compare every cell of one feature map with every cell of another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imedbench.methods.networks.conv4d import BatchNorm4d, Conv4d
from imedbench.methods.networks.unit_frame import grid_points


def cosine_correlation(source: Tensor, target: Tensor) -> Tensor:
    """Normalised cosine similarity of all pairs of cells, report Eq. 1.

    Args:
        source: features, B×C×h×w.
        target: features, B×C×H×W.

    Returns:
        B×h×w×H×W in [-1, 1].
    """
    a, b = F.normalize(source, dim=1), F.normalize(target, dim=1)
    return torch.einsum("bcij,bckl->bijkl", a, b)


def centred(features: Tensor) -> Tensor:
    """Features less their mean over the image, B×C×h×w.

    What all cells have in common tells none from another; without it cosines spread over [-1, 1]
    even behind a ReLU, and training needs far fewer steps.
    """
    return features - features.mean(dim=(2, 3), keepdim=True)


def mutual_matching(correlation: Tensor) -> Tensor:
    """Weaken pairs that are not each other's best: c · (c / max_A) · (c / max_B).

    The soft form of mutual nearest neighbours of Neighbourhood Consensus Networks (Rocco et al.
    2018), which Arbicon-Net takes over.

    Args:
        correlation: B×h×w×H×W, ≥ 0.

    Returns:
        Same shape; a pair that is the best of both its cells keeps its value.
    """
    eps = 1e-5
    best_source = correlation.amax(dim=(1, 2), keepdim=True)
    best_target = correlation.amax(dim=(3, 4), keepdim=True)
    return correlation * (correlation / (best_source + eps)) * (correlation / (best_target + eps))


class Consensus(nn.Module):
    """4-D convolutions that keep matches whose neighbours agree.

    They run on the correlation and on its transpose, so that the answer does not depend on which
    image is called source.

    Args:
        widths: channels between the layers, the single channel of either end left out.
        kernel: side of the 4-D kernels.
    """

    def __init__(self, widths: Sequence[int] = (10, 10), kernel: int = 3) -> None:
        super().__init__()
        channels = [1, *widths, 1]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [Conv4d(inputs, outputs, kernel), BatchNorm4d(outputs), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, correlation: Tensor) -> Tensor:
        """B×h×w×H×W → B×h×w×H×W, ≥ 0."""
        there = self.layers(correlation[:, None])[:, 0]
        back = self.layers(correlation.permute(0, 3, 4, 1, 2)[:, None])[:, 0]
        agreed: Tensor = there + back.permute(0, 3, 4, 1, 2)
        return agreed


class OffsetReadout(nn.Module):
    """How far each target cell's matches lie from it, and how sure that is.

    A soft arg-max: what a transformation descriptor has to learn from the whole correlation stands
    here as numbers, so that it learns from far fewer pairs than from the flattened correlation.

    Args:
        similarity: weight of the plain cosines in the match, to start with.
        agreement: weight of what the consensus left, to start with.
    """

    def __init__(self, similarity: float = 14.0, agreement: float = 1.0) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([similarity, agreement]))

    def forward(self, cosines: Tensor, agreed: Tensor) -> Tensor:
        """Read off both correlations.

        Args:
            cosines: B×h×w×H×W in [-1, 1], source cells first.
            agreed: the same after the consensus, ≥ 0.

        Returns:
            B×3×H×W: offset in x and y in the unit frame, and the weight of the best match.
        """
        shape = cosines.shape[1:]
        evidence = self.weights[0] * cosines + self.weights[1] * agreed
        match = torch.softmax(evidence.flatten(3).flatten(1, 2), dim=1)
        there = grid_points(shape[:2], match.device)[0].to(match.dtype)
        here = grid_points(shape[2:], match.device)[0].to(match.dtype)
        offset = torch.einsum("bsn,sc->bcn", match, there) - here.T
        sure = match.amax(dim=1, keepdim=True)
        return torch.cat([offset, sure], dim=1).reshape(-1, 3, *shape[2:])
