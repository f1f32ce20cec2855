"""Points and affine maps in the unit frame of an image.

Points are (x, y): -1 is the left or top edge of the image, 1 its right or bottom edge, so pixel
centre i of n lies at (2·i + 1) / n - 1, as torch has it with ``align_corners=False``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def apply_affine(affine: Tensor, points: Tensor) -> Tensor:
    """Transform points, B×2×3 and B×N×2 → B×N×2."""
    return points @ affine[:, :, :2].transpose(1, 2) + affine[:, None, :, 2]


def resample_affine(image: Tensor, affine: Tensor) -> Tensor:
    """Return the source in the target's frame, of the same size, black outside.

    Args:
        image: of the source, B×C×H×W.
        affine: source points from target points, B×2×3.
    """
    grid = F.affine_grid(affine, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, align_corners=False)


def grid_points(size: Sequence[int], device: torch.device | None = None) -> Tensor:
    """Pixel centres of an image, row by row, 1×(H·W)×2 in its unit frame.

    Args:
        size: height and width.
        device: where to make them.
    """
    height, width = size
    rows = (torch.arange(height, device=device) + 0.5) * 2 / height - 1
    columns = (torch.arange(width, device=device) + 0.5) * 2 / width - 1
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(1, -1, 2)


def to_unit(pixels: Tensor, size: Sequence[int]) -> Tensor:
    """Pixel coordinates (centres at integers) in the unit frame of a height×width image."""
    scale = torch.tensor([size[1], size[0]], dtype=pixels.dtype, device=pixels.device)
    return (2 * pixels + 1) / scale - 1


def to_pixels(points: Tensor, size: Sequence[int]) -> Tensor:
    """Unit-frame coordinates as pixels (centres at integers) of a height×width image."""
    scale = torch.tensor([size[1], size[0]], dtype=points.dtype, device=points.device)
    return ((points + 1) * scale - 1) / 2


def smooth_grid(
    transform: Callable[[Tensor], Tensor],
    size: Sequence[int],
    *,
    every: int = 4,
    device: torch.device | None = None,
) -> Tensor:
    """Tell where a smooth transform sends every pixel centre of an image.

    It is asked at about every fourth pixel each way, the rest is bilinear in between: exact for an
    affine transform, and a sixteenth of the work.

    Args:
        transform: 1×N×2 → B×N×2, in unit frames.
        size: height and width.
        every: px between the places where it is asked.
        device: where to make them.

    Returns:
        B×height×width×2.
    """
    counts = [-(-(side - 1) // every) + 1 for side in size]
    rows, columns = (
        torch.linspace(1 / side - 1, 1 - 1 / side, count, device=device)
        for side, count in zip(size, counts, strict=True)
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    moved = transform(torch.stack([x, y], dim=-1).reshape(1, -1, 2))
    planes = moved.transpose(1, 2).reshape(len(moved), 2, *counts)
    fine = F.interpolate(planes, size=list(size), mode="bilinear", align_corners=True)
    return fine.permute(0, 2, 3, 1)
