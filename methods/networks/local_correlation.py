"""Compare every cell with the cells near it in another feature map, as a product of bands.

Unfolding the neighbourhoods takes seconds a training step on a CPU. A whole row against a whole
row is one matrix product, of which the band round the diagonal is wanted; that is four times as
much arithmetic as needed and a hundred times as fast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def local_correlation(fixed: Tensor, moving: Tensor, radius: int) -> Tensor:
    """Inner products of each fixed cell with the moving cells round the same place.

    Args:
        fixed: B×C×h×w.
        moving: B×C×h×w; zero beyond its edge.
        radius: of the square neighbourhood, cells.

    Returns:
        B×(2·radius + 1)²×h×w, displacements row by row.
    """
    product: Tensor = _Banded.apply(fixed, moving, radius)  # type: ignore[no-untyped-call]
    return product


def displacements(radius: int) -> Tensor:
    """Return the displacements in the order of `local_correlation`, N×2 as (x, y) in cells."""
    reach = torch.arange(-radius, radius + 1, dtype=torch.float32)
    y, x = torch.meshgrid(reach, reach, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


class _Banded(torch.autograd.Function):
    """Rows against rows, one row displacement after the other."""

    @staticmethod
    def forward(ctx: Any, fixed: Tensor, moving: Tensor, radius: int) -> Tensor:
        batch, _, height, width = fixed.shape
        side = 2 * radius + 1
        here = fixed.permute(0, 2, 3, 1).contiguous()
        there = F.pad(moving, (radius,) * 4).permute(0, 2, 3, 1).contiguous()
        out = fixed.new_empty(batch, side, side, height, width)
        for row in range(side):
            product = torch.matmul(here, there[:, row : row + height].transpose(2, 3))
            out[:, row] = _band(product.contiguous(), side).permute(0, 3, 1, 2)
        ctx.save_for_backward(here, there)
        ctx.radius = radius
        return out.view(batch, side * side, height, width)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        here, there = ctx.saved_tensors
        radius: int = ctx.radius
        side = 2 * radius + 1
        batch, height, width, _ = here.shape
        rows = grad.reshape(batch, side, side, height, width)
        to_here, to_there = torch.zeros_like(here), torch.zeros_like(there)
        product = here.new_zeros(batch, height, width, width + side - 1)
        band = _band(product, side)  # beside it the product stays zero
        for row in range(side):
            band.copy_(rows[:, row].permute(0, 2, 3, 1))
            to_here += torch.matmul(product, there[:, row : row + height])
            to_there[:, row : row + height] += torch.matmul(product.transpose(2, 3), here)
        inner = to_there[:, radius : radius + height, radius : radius + width]
        return to_here.permute(0, 3, 1, 2), inner.permute(0, 3, 1, 2), None


def _band(product: Tensor, side: int) -> Tensor:
    """The diagonals of B×h×w×(w + side - 1) as a view B×h×w×side."""
    batch, height, width, columns = product.shape
    strides = (height * width * columns, width * columns, columns + 1, 1)
    return product.as_strided((batch, height, width, side), strides)
