"""Exhaustive search for the pose: oriented points correlated over rotation, scale and shift.

Both images' vessel points are drawn on a coarse grid as complex numbers, weight times exp(2iθ) for
a vessel running in direction θ. The real part of a product of two such numbers is cos 2Δθ: crossing
vessels count against a pose and parallel ones for it, so unrelated vessels cancel. The correlation
over all shifts is one fast Fourier transform a rotation and scale; it is divided by what unrelated
vessels in the same overlap would give, as in masked normalised correlation (Padfield 2012).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from imedbench.core.arrays import Floats, Matrix
from imedbench.methods.imed.grids import (
    COARSE,
    Fields,
    Sources,
    draw,
    gather_sources,
    inverse_noise,
)
from imedbench.methods.imed.lines import Index, Lines
from imedbench.methods.imed.pairing import select_distinct

_BLUR = 0.65  # cells, how far off a vessel may be and still count
_REACH = 0.875  # of the two images' sides: larger shifts leave too little overlap
_NEAR = 0.35  # of the scale's logarithm: most pairs differ by less

Scales = Literal["all", "near", "far"]


@dataclass(frozen=True)
class SearchRange:
    """Which poses are tried.

    Args:
        max_rotation: largest rotation either way.
        rotation_step: between neighbours.
        min_scale: of fixed pixels to moving pixels.
        max_scale: likewise.
        scale_step: ratio of neighbours.
        cells_across: into how many cells the smaller image is cut.
        min_cell: px.
        max_cell: px.
        min_overlap: smallest overlap, as a share of the smaller field.
    """

    max_rotation: float = 180.0
    rotation_step: float = 7.0
    min_scale: float = 0.42
    max_scale: float = 2.4
    scale_step: float = 1.12
    cells_across: int = 42
    min_cell: float = 4.0
    max_cell: float = 11.0
    min_overlap: float = 0.2

    def rotations(self) -> Floats:
        """Return every rotation, rad."""
        if self.max_rotation >= 180:
            count = round(360 / self.rotation_step)
            return np.arange(count, dtype=np.float64) * (2 * np.pi / count)
        half = int(np.ceil(self.max_rotation / self.rotation_step))
        steps = np.arange(-half, half + 1, dtype=np.float64)
        return steps * float(np.deg2rad(self.rotation_step))

    def scales(self, part: Scales = "all") -> Floats:
        """Return every scale, or those near 1 that most pairs have, or the others."""
        down = np.ceil(np.log(1 / self.min_scale) / np.log(self.scale_step))
        up = np.ceil(np.log(self.max_scale) / np.log(self.scale_step))
        scales = np.asarray(self.scale_step ** np.arange(-down, up + 1))
        near = np.abs(np.log(scales)) <= _NEAR
        return {"all": scales, "near": scales[near], "far": scales[~near]}[part]

    def cell(self, *shapes: tuple[int, int]) -> float:
        """Side of a cell for images of these shapes, px of the coarser one."""
        smaller = min(min(shape) for shape in shapes)
        return float(np.clip(smaller / self.cells_across, self.min_cell, self.max_cell))


@dataclass(frozen=True, eq=False)
class Poses:
    """Candidate similarities, best first.

    Args:
        matrices: K×3×3, fixed_from_moving.
        scores: K, agreement in units of what unrelated vessels would give.
    """

    matrices: Matrix
    scores: Floats

    def and_also(self, other: Poses) -> Poses:
        """Both, best first."""
        scores = np.concatenate([self.scores, other.scores])
        order = np.argsort(-scores, kind="stable")
        return Poses(np.concatenate([self.matrices, other.matrices])[order], scores[order])

    def distinct(self, shape: tuple[int, int], keep: int) -> Poses:
        """The best that differ clearly; ``shape`` is that of the image they move."""
        chosen = select_distinct(self.matrices, shape, keep)
        return Poses(self.matrices[chosen], self.scores[chosen])


def search(
    fixed: Lines, moving: Lines, span: SearchRange, keep: int, scales: Scales = "all"
) -> Poses:
    """Find the poses under which the vessels agree best.

    Args:
        fixed: vessels of the image whose frame is kept.
        moving: vessels of the image to be brought into that frame.
        span: what to try.
        keep: how many clearly different poses to return at most.
        scales: which part of the scales to try.
    """
    cell = span.cell(fixed.shape, moving.shape)
    every = span.scales(scales)
    larger, smaller = every[every >= 1], 1 / every[every < 1]
    still, moved = gather_sources(fixed, cell), gather_sources(moving, cell)
    matrices, scores = _at_scales(still, moved, span, cell, larger)
    back, others = _at_scales(moved, still, span, cell, smaller)
    matrices, scores = np.concatenate([matrices, np.linalg.inv(back)]), np.append(scores, others)
    order = np.argsort(-scores, kind="stable")[: 12 * keep]
    return Poses(matrices[order], scores[order]).distinct(moving.shape, keep)


def _at_scales(
    fixed: Sources, moving: Sources, span: SearchRange, cell: float, scales: Floats
) -> tuple[Matrix, Floats]:
    """The best shift of every rotation at each scale of at least 1, and its score.

    The image that grows is drawn on the same cells at any scale, turned to every rotation; what
    stays is drawn on larger ones, so that neither is ever enlarged.
    """
    if not len(scales):
        return np.empty((0, 3, 3)), np.empty(0)
    cells = _REACH * (fixed.side / scales.min() + moving.side) / cell
    size = next_fast_len(int(np.ceil(cells / COARSE))) * COARSE
    half = COARSE // 2  # blocks begin at -half
    units = torch.from_numpy((cell * scales).astype(np.float32))[:, None]  # fixed px per cell
    turned = moving.turned(span.rotations())
    score = correlate(
        draw(fixed.places / units + half * (1 + 1j), fixed.values.expand(len(units), -1), size),
        draw(turned.places / cell, turned.values, size),
    )
    noise = inverse_noise(
        Fields.of(fixed, units, size // COARSE),
        Fields.of(turned, torch.tensor([[cell]]), size // COARSE),
        span.min_overlap,
    )
    best, row, column = _highest(score.flatten(0, 1), noise.flatten(0, 1))
    scale, rotation = (
        each.ravel() for each in np.meshgrid(scales, span.rotations(), indexing="ij")
    )
    shift = np.column_stack([column, row]) - float(half)
    shift = np.where(shift > size / 2, shift - size, shift) * (cell * scale)[:, None]
    return _similarities(rotation, scale, fixed.centre + shift, moving.centre), best


def _highest(score: Tensor, weight: Tensor) -> tuple[Floats, Index, Index]:
    """Highest of R×S×S scores for each of R, times the weight of its block, and where it is."""
    count, blocks = weight.shape[:2]
    squares = score.view(count, blocks, COARSE, blocks, COARSE)
    tops = squares.flatten(3).amax(2).view(count, blocks, blocks, COARSE).amax(3) * weight
    best, block = tops.flatten(1).max(1)
    rows, columns = np.divmod(block.numpy(), blocks)
    inside = squares[torch.arange(count), rows, :, columns].flatten(1).argmax(1)
    row, column = np.divmod(inside.numpy(), COARSE)
    return best.numpy().astype(np.float64), rows * COARSE + row, columns * COARSE + column


def correlate(fixed: Tensor, moving: Tensor) -> Tensor:
    """Correlate oriented grids at every shift, the fixed ones slightly blurred.

    Args:
        fixed: complex F×S×S, periodic.
        moving: complex R×S×S, periodic.

    Returns:
        Float F×R×S×S; element (f, r, y, x) is the real part of the sum over places p of the
        conjugate of moving[r, p] times fixed[f, p + (y, x)].
    """
    one = torch.exp(-2 * (np.pi * _BLUR * torch.fft.fftfreq(fixed.shape[-1])) ** 2)
    spectra = torch.fft.fft2(fixed).mul_(one[:, None] * one)
    product = torch.fft.fft2(moving).conj_physical_() * spectra[:, None]
    return torch.fft.ifft2(product).real.contiguous()


def _similarities(
    rotations: Floats,
    scales: Floats,
    fixed_centres: Floats,
    moving_centre: Floats,
) -> Matrix:
    """Turn and scale about the moving centre, which goes to the fixed centres (R×2)."""
    cos, sin = scales * np.cos(rotations), scales * np.sin(rotations)
    out = np.zeros((len(rotations), 3, 3))
    out[:, 0, 0], out[:, 0, 1], out[:, 1, 0], out[:, 1, 1] = cos, -sin, sin, cos
    out[:, :2, 2] = fixed_centres - out[:, :2, :2] @ moving_centre
    out[:, 2, 2] = 1
    return out
