"""From score maps and descriptor maps to keypoints, and from keypoints to matches.

Points are (x, y) px, pixel centres at integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from kornia.feature import match_mnn
from torch import Tensor
from torch.nn import functional as F

CELL = 8  # px, side of the square that shares one position of the last feature map


@dataclass(frozen=True)
class Detection:
    """How keypoints are picked from the score map.

    Args:
        max_keypoints: the best so many are kept per image; None keeps all.
        threshold: least score.
        nms_radius: no two keypoints are closer than this, in px (Chebyshev distance).
        border: px along the image's edge without keypoints.
    """

    max_keypoints: int | None = None
    threshold: float = 0.005
    nms_radius: int = 4
    border: int = 4


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Keypoints of a batch, padded to the same number K.

    Args:
        points: B×K×2 px.
        scores: B×K in [0, 1], in falling order.
        descriptors: B×K×D, unit length.
        valid: bool B×K, false for padding.
    """

    points: Tensor
    scores: Tensor
    descriptors: Tensor
    valid: Tensor

    def __getitem__(self, rows: slice) -> Keypoints:
        """The keypoints of some images of the batch."""
        return Keypoints(
            self.points[rows], self.scores[rows], self.descriptors[rows], self.valid[rows]
        )


def score_map(logits: Tensor) -> Tensor:
    """Keypoint score of every pixel: softmax over each cell and its "no keypoint" bin.

    Args:
        logits: B×65×h×w.

    Returns:
        B×8h×8w in [0, 1].
    """
    return F.pixel_shuffle(logits.softmax(dim=1)[:, :-1], CELL)[:, 0]


def suppress_neighbours(scores: Tensor, radius: int) -> Tensor:
    """Zero all scores but local maxima.

    Two further rounds look for maxima among what no earlier maximum covers, as in the paper's code.

    Args:
        scores: B×H×W.
        radius: half side of the square window, px.

    Returns:
        B×H×W, at most one score above zero in each window round a maximum.
    """
    maxima = scores == _window_max(scores, radius)
    for _ in range(2):
        covered = _window_max(maxima.to(scores.dtype), radius) > 0
        rest = scores.masked_fill(covered, 0.0)
        maxima = maxima | ((rest == _window_max(rest, radius)) & ~covered)
    return scores.masked_fill(~maxima, 0.0)


def pick_keypoints(scores: Tensor, detection: Detection) -> tuple[Tensor, Tensor, Tensor]:
    """Return the best local maxima of each score map.

    Args:
        scores: B×H×W in [0, 1].
        detection: how many, how far apart, how good.

    Returns:
        Points B×K×2 px, scores B×K, valid bool B×K.
    """
    edge = detection.border
    scores = suppress_neighbours(scores, detection.nms_radius)
    inner = scores[:, edge : scores.shape[1] - edge, edge : scores.shape[2] - edge]
    width = inner.shape[2]
    flat = inner.flatten(1)
    count = detection.max_keypoints
    if count is None:
        count = int((flat > detection.threshold).sum(dim=1).max())
    values, index = flat.topk(min(count, flat.shape[1]), dim=1)
    points = torch.stack((index % width + edge, index // width + edge), dim=-1)
    return points.to(scores.dtype), values, values > detection.threshold


def sample_descriptors(descriptors: Tensor, points: Tensor) -> Tensor:
    """Descriptors at points, between cells by bilinear interpolation.

    The authors' code puts the last cell's centre 3.5 px too far out; their weights and those of
    everyone after them were used so, and parity needs it.

    Args:
        descriptors: B×D×h×w.
        points: B×K×2 px.

    Returns:
        B×K×D, unit length.
    """
    height, width = descriptors.shape[-2:]
    cells = points.new_tensor([width, height])
    grid = (points - (CELL - 1) / 2) / (cells * CELL - (CELL + 1) / 2) * 2 - 1
    sampled = F.grid_sample(descriptors, grid[:, None].to(descriptors.dtype), align_corners=True)
    return F.normalize(sampled[:, :, 0], dim=1).transpose(1, 2)


def match_mutually(first: Keypoints, second: Keypoints) -> Tensor:
    """Match keypoints of two images, a batch of one each, whose descriptors are mutually nearest.

    Returns:
        K×2, indices of a keypoint of the first and of one of the second image.
    """
    ours, theirs = (found.descriptors[0][found.valid[0]] for found in (first, second))
    return match_mnn(ours, theirs, -(ours @ theirs.T))[1]


def _window_max(x: Tensor, radius: int) -> Tensor:
    """Maximum over a square window of a B×H×W tensor.

    What a max-pool of stride one gives, for a tenth of the time on a CPU: the maximum over a run of
    pixels is that of two runs half as long.
    """
    side = 2 * radius + 1
    x = F.pad(x, (radius,) * 4, value=-torch.inf)
    for axis in (1, 2):
        length = x.shape[axis] - 2 * radius
        span = 1
        while 2 * span <= side:
            x = torch.maximum(x.narrow(axis, 0, x.shape[axis] - span), _after(x, axis, span))
            span *= 2
        x = torch.maximum(x.narrow(axis, 0, length), x.narrow(axis, side - span, length))
    return x


def _after(x: Tensor, axis: int, start: int) -> Tensor:
    return x.narrow(axis, start, x.shape[axis] - start)
