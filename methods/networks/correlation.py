"""Compare every cell of one feature map with every cell of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class SoftMatches:
    """Where the cells of the target lie in the source, by a soft arg-max.

    Args:
        here: centres of the target's cells, N×2 in its unit frame.
        offset: from there to the matches, B×N×2.
        sure: one over the number of cells that a match spreads over, B×N in (0, 1].
    """

    here: Tensor
    offset: Tensor
    sure: Tensor


def soft_matches(evidence: Tensor) -> SoftMatches:
    """Average the source's cells, weighted by a softmax over how much speaks for each.

    Args:
        evidence: B×h×w×H×W, source cells first, log odds.
    """
    shape = evidence.shape[1:]
    match = torch.softmax(evidence.flatten(3).flatten(1, 2), dim=1)
    there, here = (grid_points(s, match.device)[0].to(match.dtype) for s in (shape[:2], shape[2:]))
    offset = torch.einsum("bsn,sc->bnc", match, there) - here
    entropy = -(match * (match + 1e-9).log()).sum(dim=1)
    return SoftMatches(here, offset, torch.exp(-entropy))


class SolvedAffine(nn.Module):
    """The affine transform nearest to the soft matches of a correlation, in closed form.

    It has next to nothing to learn, where a regression over the correlation has to be shown every
    motion. The prior is on no motion.

    Args:
        similarity: weight of the cosines in the match, to start with.
        prior: of the linear part, relative to the weight of all matches, to start with.
    """

    def __init__(self, similarity: float = 25.0, prior: float = 0.01) -> None:
        super().__init__()
        self.similarity = nn.Parameter(torch.tensor(similarity))
        self.log_prior = nn.Parameter(torch.tensor(prior).log())

    def forward(self, correlation: Tensor) -> Tensor:
        """Source points from target points, B×h×w×H×W → B×2×3."""
        found = soft_matches(self.similarity * correlation.float())
        rows = torch.cat([found.here, torch.ones_like(found.here[:, :1])], dim=1)
        weighted = rows * found.sure[..., None]
        zero = self.log_prior.new_zeros(())
        prior = torch.stack([self.log_prior.exp(), self.log_prior.exp(), zero]).diag()
        normal = weighted.transpose(1, 2) @ rows + prior * found.sure.sum(dim=1)[:, None, None]
        change = torch.linalg.solve(normal, weighted.transpose(1, 2) @ found.offset)
        return change.transpose(1, 2) + torch.eye(2, 3, device=change.device)


class OffsetReadout(nn.Module):
    """How far each target cell's matches lie from it, and how sure that is.

    What a transformation descriptor has to learn from the whole correlation stands here as
    numbers, so that it learns from far fewer pairs.

    Args:
        similarity: weight of the cosines in the match, to start with.
        agreement: weight of what the consensus left, to start with.
    """

    def __init__(self, similarity: float = 25.0, agreement: float = 1.0) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([similarity, agreement]))

    def forward(self, cosines: Tensor, agreed: Tensor) -> Tensor:
        """Read off both correlations.

        Args:
            cosines: B×h×w×H×W in [-1, 1], source cells first.
            agreed: the same after the consensus, ≥ 0.

        Returns:
            B×(H·W)×3: offset in x and y in the unit frame, and how sure it is.
        """
        found = soft_matches(self.weights[0] * cosines + self.weights[1] * agreed)
        return torch.cat([found.offset, found.sure[..., None]], dim=-1)
