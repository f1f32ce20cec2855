"""Vessel points gathered, turned and drawn on periodic grids: what the search correlates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imedbench.core.arrays import Floats
from imedbench.methods.imed.lines import Lines

COARSE = 4  # cells of the fine grid, along a side, in one cell of the grid of masks
_MIN_DENSITY = 0.25  # of the usual amount of vessels: emptier overlaps would win by chance


@dataclass(frozen=True, eq=False)
class Sources:
    """What is drawn on the grids, turned R ways; places are complex, x + iy px from the centre.

    Args:
        places: R×N of the vessels.
        values: complex R×N, weight times exp(2iθ).
        energy_places: R×M of neighbouring vessels taken together.
        energy: M, their squared values.
        lattice: R×L of the field of view.
        spacing: px between the points of the lattice.
        centre: middle of the image, (x, y) px.
        side: longer side of the image, px.
    """

    places: Tensor
    values: Tensor
    energy_places: Tensor
    energy: Tensor
    lattice: Tensor
    spacing: float
    centre: Floats
    side: int

    def turned(self, rotations: Floats) -> Sources:
        """The same turned by each of R rotations, rad."""
        turns = torch.from_numpy(np.exp(1j * rotations).astype(np.complex64))[:, None]
        return replace(
            self,
            places=turns * self.places,
            values=turns**2 * self.values,
            energy_places=turns * self.energy_places,
            lattice=turns * self.lattice,
        )


def gather_sources(lines: Lines, cell: float) -> Sources:
    """Gather an image's vessels and field of view, not turned; ``cell`` in px."""
    points, values = _merged(lines, cell / 2)
    spacing = cell * COARSE / 2
    energy_at, energy = _gathered(points, np.abs(values) ** 2, spacing)
    height, width = lines.fov.shape
    y, x = np.mgrid[spacing / 2 : height : spacing, spacing / 2 : width : spacing]
    seen = lines.fov[y.astype(int), x.astype(int)]
    places, energy_places, lattice = (
        torch.from_numpy(((at - lines.centre) @ [1, 1j])[None].astype(np.complex64))
        for at in (points, energy_at, np.column_stack([x[seen], y[seen]]))
    )
    return Sources(
        places,
        torch.from_numpy(values[None].astype(np.complex64)),
        energy_places,
        torch.from_numpy(energy.astype(np.float32)),
        lattice,
        spacing,
        lines.centre,
        max(lines.fov.shape),
    )


def _merged(lines: Lines, side: float) -> tuple[Floats, NDArray[np.complex128]]:
    """Neighbouring points as one: their mean place and the sum of weight times exp(2iθ)."""
    weight = lines.weight.astype(np.float64)
    points = lines.points.astype(np.float64)
    places, _ = _gathered(points, weight, side)
    group = _group(points, side)
    cos = np.bincount(group, weight * np.cos(2 * lines.angle))
    sin = np.bincount(group, weight * np.sin(2 * lines.angle))
    return places, cos + 1j * sin


def _gathered(points: Floats, weight: Floats, side: float) -> tuple[Floats, Floats]:
    """Weighted mean place and total weight of the points in each square of a lattice."""
    group = _group(points, side)
    total = np.bincount(group, weight)
    least = np.maximum(total, 1e-12)
    places = [np.bincount(group, weight * points[:, axis]) / least for axis in (0, 1)]
    return np.column_stack(places), np.asarray(total, np.float64)


def _group(points: Floats, side: float) -> NDArray[np.intp]:
    cells = np.floor(points / side).astype(np.int64)
    _, group = np.unique(cells[:, 1] << 20 | cells[:, 0], return_inverse=True)
    return np.asarray(group, np.intp)


@dataclass(frozen=True, eq=False)
class Fields:
    """How much of the field of view, and of the vessels' squared values, lies where, R times.

    Args:
        mask: Fourier transform of the one, R×S×(S//2+1).
        energy: of the other, likewise.
        area: sum of the one, R×1×1.
        density: sum of the other over that, R×1×1.
    """

    mask: Tensor
    energy: Tensor
    area: Tensor
    density: Tensor

    @classmethod
    def of(cls, source: Sources, units: Tensor, size: int) -> Fields:
        """Draw them on cells of `COARSE` times as many px, R×1 or one for all; S is ``size``."""
        cells = units * COARSE
        lattice, places = source.lattice / cells, source.energy_places / cells
        share = (source.spacing / cells) ** 2
        mask = draw(lattice, share.expand(lattice.shape), size)
        energy = draw(places, source.energy.expand(places.shape), size)
        area = mask.sum((1, 2), keepdim=True)
        density = energy.sum((1, 2), keepdim=True) / area.clamp(min=1e-6)
        return cls(torch.fft.rfft2(mask), torch.fft.rfft2(energy), area, density)


def inverse_noise(fixed: Fields, moving: Fields, min_overlap: float) -> Tensor:
    """One over the deviation that unrelated vessels would give, for every shift of the moving ones.

    Args:
        fixed: F times.
        moving: R times.
        min_overlap: share of the smaller field, below which the result is 0.

    Returns:
        F×R×S×S.
    """
    size = fixed.mask.shape[1]
    mask, energy = fixed.mask[:, None], fixed.energy[:, None]
    over, under = moving.mask.conj(), moving.energy.conj()
    in_f, in_m, area = (
        torch.fft.irfft2(product, s=(size, size))
        for product in (over * energy, under * mask, over * mask)
    )
    in_f = torch.maximum(in_f, _MIN_DENSITY * fixed.density[:, None] * area)
    in_m = torch.maximum(in_m, _MIN_DENSITY * moving.density * area)
    noise = (area.clamp(min=0) / (in_f * in_m).clamp_(min=1e-6)).sqrt_() * COARSE
    noise[area < min_overlap * torch.minimum(fixed.area[:, None], moving.area)] = 0
    return noise


def draw(places: Tensor, values: Tensor, size: int) -> Tensor:
    """Add values to periodic grids, each at its nearest cell.

    Args:
        places: complex R×N, x + iy, in cells.
        values: R×N, real or complex.
        size: cells along a side.

    Returns:
        R×S×S of the values' type.
    """
    cells = torch.view_as_real(places).round()
    cells = (cells - size * (cells / size).floor_()).to(torch.int32)  # faster than a remainder
    first = torch.arange(len(places), dtype=torch.int32)[:, None] * (size * size)
    index = (first + cells[..., 1] * size + cells[..., 0]).flatten()
    flat = torch.zeros(len(places) * size * size, dtype=values.dtype)
    return flat.index_add_(0, index, values.flatten()).view(len(places), size, size)
