"""Exhaustive search for the pose: oriented points correlated over rotation, scale and shift.

Both images' vessel points are drawn on a coarse grid as complex numbers, weight times exp(2iθ) for
a vessel running in direction θ. The real part of a product of two such numbers is cos 2Δθ: crossing
vessels count against a pose and parallel ones for it, so unrelated vessels cancel. The correlation
over all shifts is one fast Fourier transform a rotation and scale; it is divided by what unrelated
vessels in the same overlap would give, as in masked normalised correlation (Padfield 2012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

from imedbench.methods.imed.distinct import distinct
from imedbench.methods.imed.lines import Lines
from imedbench.methods.imed.maps import Mask

Matrices = NDArray[np.float64]

_COARSE = 4  # cells of the fine grid, along a side, in one cell of the grid of masks
_BLUR = 0.65  # cells, how far off a vessel may be and still count
_REACH = 0.875  # of the two images' sides: larger shifts leave too little overlap
_LEAST_DENSITY = 0.25  # of the usual amount of vessels: emptier overlaps would win by chance


@dataclass(frozen=True)
class SearchRange:
    """Which poses are tried.

    Args:
        rotation_deg: largest rotation either way.
        rotation_step_deg: between neighbours.
        smallest_scale: of fixed pixels to moving pixels.
        largest_scale: likewise.
        scale_step: ratio of neighbours.
        cells_across: into how many cells the smaller image is cut.
        smallest_cell: px.
        largest_cell: px.
        min_overlap: smallest overlap, as a share of the smaller field.
    """

    rotation_deg: float = 180.0
    rotation_step_deg: float = 7.0
    smallest_scale: float = 0.42
    largest_scale: float = 2.4
    scale_step: float = 1.12
    cells_across: int = 42
    smallest_cell: float = 4.0
    largest_cell: float = 11.0
    min_overlap: float = 0.2

    def rotations(self) -> NDArray[np.float64]:
        """Every rotation, rad."""
        if self.rotation_deg >= 180:
            count = round(360 / self.rotation_step_deg)
            return np.arange(count, dtype=np.float64) * (2 * np.pi / count)
        half = int(np.ceil(self.rotation_deg / self.rotation_step_deg))
        steps = np.arange(-half, half + 1, dtype=np.float64)
        return steps * float(np.deg2rad(self.rotation_step_deg))

    def scales(self) -> NDArray[np.float64]:
        """Every scale."""
        down = np.ceil(np.log(1 / self.smallest_scale) / np.log(self.scale_step))
        up = np.ceil(np.log(self.largest_scale) / np.log(self.scale_step))
        return np.asarray(self.scale_step ** np.arange(-down, up + 1))

    def cell(self, *shapes: tuple[int, int]) -> float:
        """Side of a cell for images of these shapes, px of the coarser one."""
        smaller = min(min(shape) for shape in shapes)
        return float(np.clip(smaller / self.cells_across, self.smallest_cell, self.largest_cell))


@dataclass(frozen=True, eq=False)
class Field:
    """An image as the search sees it.

    Args:
        lines: its vessels.
        fov: bool H×W, where it shows retina.
    """

    lines: Lines
    fov: Mask

    @property
    def centre(self) -> NDArray[np.float64]:
        """Middle of the image, (x, y) px."""
        height, width = self.fov.shape
        return np.array([(width - 1) / 2, (height - 1) / 2])


@dataclass(frozen=True, eq=False)
class Poses:
    """Candidate similarities, best first.

    Args:
        matrices: K×3×3, fixed_from_moving.
        scores: K, agreement in units of what unrelated vessels would give.
    """

    matrices: Matrices
    scores: NDArray[np.float64]


def search(fixed: Field, moving: Field, span: SearchRange, keep: int) -> Poses:
    """The poses under which the vessels agree best.

    Args:
        fixed: the image whose frame is kept.
        moving: the image to be brought into that frame.
        span: what to try.
        keep: how many clearly different poses to return at most.
    """
    cell = span.cell(fixed.lines.shape, moving.lines.shape)
    still, turning = _sources(fixed, np.zeros(1), cell), _sources(moving, span.rotations(), cell)
    found = [_one_scale(still, turning, cell, scale, span.min_overlap) for scale in span.scales()]
    matrices, scores = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(-scores, kind="stable")[: 12 * keep]
    best = order[distinct(matrices[order], moving.lines.shape, keep)]
    return Poses(matrices[best], scores[best])


@dataclass(frozen=True, eq=False)
class _Sources:
    """What is drawn on the grids, turned to every rotation; places in px from the centre.

    Args:
        rotations: R, rad.
        places: R×N×2 of the vessels.
        values: complex R×N, weight times exp(2iθ).
        energy_places: R×M×2 of neighbouring vessels taken together.
        energy: M, their squared values.
        lattice: R×L×2 of the field of view.
        spacing: px between the points of the lattice.
        centre: middle of the image, (x, y) px.
        side: longer side of the image, px.
    """

    rotations: NDArray[np.float64]
    places: Tensor
    values: Tensor
    energy_places: Tensor
    energy: Tensor
    lattice: Tensor
    spacing: float
    centre: NDArray[np.float64]
    side: int


def _sources(field: Field, rotations: NDArray[np.float64], cell: float) -> _Sources:
    points, values = _merged(field.lines, cell / 2)
    energy_at, energy = _gathered(points, np.abs(values) ** 2, cell * _COARSE / 2)
    spacing = cell * _COARSE / 2
    height, width = field.fov.shape
    y, x = np.mgrid[spacing / 2 : height : spacing, spacing / 2 : width : spacing]
    seen = field.fov[y.astype(int), x.astype(int)]
    return _Sources(
        rotations,
        _turned(points - field.centre, rotations),
        torch.from_numpy((np.exp(2j * rotations)[:, None] * values).astype(np.complex64)),
        _turned(energy_at - field.centre, rotations),
        torch.from_numpy(energy.astype(np.float32)),
        _turned(np.column_stack([x[seen], y[seen]]) - field.centre, rotations),
        spacing,
        field.centre,
        max(field.fov.shape),
    )


def _merged(lines: Lines, side: float) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """Neighbouring points as one: their mean place and the sum of weight times exp(2iθ)."""
    weight = lines.weight.astype(np.float64)
    points = lines.points.astype(np.float64)
    places, _ = _gathered(points, weight, side)
    group = _group(points, side)
    cos = np.bincount(group, weight * np.cos(2 * lines.angle))
    sin = np.bincount(group, weight * np.sin(2 * lines.angle))
    return places, cos + 1j * sin


def _gathered(
    points: NDArray[np.float64], weight: NDArray[np.float64], side: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean place and total weight of the points in each square of a lattice."""
    group = _group(points, side)
    total = np.bincount(group, weight)
    least = np.maximum(total, 1e-12)
    places = [np.bincount(group, weight * points[:, axis]) / least for axis in (0, 1)]
    return np.column_stack(places), np.asarray(total, np.float64)


def _group(points: NDArray[np.float64], side: float) -> NDArray[np.intp]:
    cells = np.floor(points / side).astype(np.int64)
    _, group = np.unique(cells[:, 1] << 20 | cells[:, 0], return_inverse=True)
    return np.asarray(group, np.intp)


def _turned(points: NDArray[np.float64], rotations: NDArray[np.float64]) -> Tensor:
    turns = np.exp(1j * rotations)[:, None] * (points[:, 0] + 1j * points[:, 1])
    return torch.view_as_real(torch.from_numpy(turns.astype(np.complex64)))


def _one_scale(
    still: _Sources, turning: _Sources, cell: float, scale: float, min_overlap: float
) -> tuple[Matrices, NDArray[np.float64]]:
    """The best shift of every rotation at one scale, and its score."""
    unit_f = cell * max(scale, 1.0)  # fixed px per cell: neither image is ever enlarged
    unit_m = unit_f / scale
    cells = _REACH * (still.side / unit_f + turning.side / unit_m)
    size = next_fast_len(int(np.ceil(cells / _COARSE))) * _COARSE
    score = correlate(
        draw(still.places / unit_f, still.values, size),
        draw(turning.places / unit_m, turning.values, size),
    )
    score *= _inverse_noise(still, turning, unit_f, unit_m, size, min_overlap)
    best, where = score.flatten(1).max(1)
    row, column = np.divmod(where.numpy(), size)
    shift = np.column_stack([column, row]).astype(np.float64)
    shift = np.where(shift > size / 2, shift - size, shift) * unit_f
    matrices = _similarities(turning.rotations, scale, still.centre + shift, turning.centre)
    return matrices, best.numpy().astype(np.float64)


def correlate(fixed: Tensor, moving: Tensor) -> Tensor:
    """Agreement of oriented grids at every shift, the fixed one slightly blurred.

    Args:
        fixed: complex 1×S×S, periodic.
        moving: complex R×S×S, periodic.

    Returns:
        Float R×S×S; element (r, y, x) is the real part of the sum over places p of the conjugate
        of moving[r, p] times fixed[p + (y, x)].
    """
    size = fixed.shape[-1]
    one = torch.exp(-2 * (np.pi * _BLUR * torch.fft.fftfreq(size)) ** 2)
    spectrum = torch.fft.fft2(fixed) * (one[:, None] * one)
    product = torch.fft.fft2(moving).conj_physical_().mul_(spectrum)
    return torch.fft.ifft2(product).real.contiguous()


def _inverse_noise(
    still: _Sources,
    turning: _Sources,
    unit_f: float,
    unit_m: float,
    size: int,
    min_overlap: float,
) -> Tensor:
    """One over the deviation that unrelated vessels would give; 0 where the overlap is small."""
    small = size // _COARSE
    mask_f, energy_f = _mask_and_energy(still, unit_f * _COARSE, small)
    mask_m, energy_m = _mask_and_energy(turning, unit_m * _COARSE, small)
    spectra_f = torch.fft.rfft2(torch.stack([energy_f, mask_f, mask_f], 1))
    spectra_m = torch.fft.rfft2(torch.stack([mask_m, energy_m, mask_m], 1))
    shared = torch.fft.irfft2(spectra_m.conj() * spectra_f, s=(small, small))
    in_f, in_m, area = shared.unbind(1)
    total_f, total_m = mask_f.sum(), mask_m[0].sum()
    usual_f, usual_m = energy_f.sum() / total_f, energy_m[0].sum() / total_m
    in_f = torch.maximum(in_f, _LEAST_DENSITY * usual_f * area)
    in_m = torch.maximum(in_m, _LEAST_DENSITY * usual_m * area)
    noise = (area.clamp(min=0) / (in_f * in_m).clamp(min=1e-6)).sqrt_() * _COARSE
    noise[area < min_overlap * torch.minimum(total_f, total_m)] = 0
    nearest = (torch.arange(size) + _COARSE // 2) // _COARSE % small
    return noise[:, nearest][:, :, nearest]


def _mask_and_energy(source: _Sources, unit: float, size: int) -> tuple[Tensor, Tensor]:
    values = source.energy.expand(len(source.rotations), -1)
    energy = draw(source.energy_places / unit, values, size)
    share = torch.full(source.lattice.shape[:2], (source.spacing / unit) ** 2)
    return draw(source.lattice / unit, share, size), energy


def draw(places: Tensor, values: Tensor, size: int) -> Tensor:
    """Add values to periodic grids, each at its nearest cell.

    Args:
        places: R×N×2 (x, y), in cells.
        values: R×N, real or complex.
        size: cells along a side.

    Returns:
        R×S×S of the values' type.
    """
    cells = places.round().to(torch.int32).remainder_(size)
    first = torch.arange(len(places), dtype=torch.int32)[:, None] * (size * size)
    index = (first + cells[..., 1] * size + cells[..., 0]).flatten()
    flat = torch.zeros(len(places) * size * size, dtype=values.dtype)
    return flat.index_add_(0, index, values.flatten()).view(len(places), size, size)


def _similarities(
    rotations: NDArray[np.float64],
    scale: float,
    fixed_centres: NDArray[np.float64],
    moving_centre: NDArray[np.float64],
) -> Matrices:
    """Turn and scale about the moving centre, which goes to the fixed centres (R×2)."""
    cos, sin = scale * np.cos(rotations), scale * np.sin(rotations)
    out = np.zeros((len(rotations), 3, 3))
    out[:, 0, 0], out[:, 0, 1], out[:, 1, 0], out[:, 1, 1] = cos, -sin, sin, cos
    out[:, :2, 2] = fixed_centres - out[:, :2, :2] @ moving_centre
    out[:, 2, 2] = 1
    return out
