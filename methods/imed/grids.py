"""Vessel points gathered, turned and drawn on periodic grids: what the search correlates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imedbench.core.arrays import Floats
from imedbench.methods.imed.lines import Lines

COARSE = 4  # cells of the fine grid, along a side, in one cell of the grid of masks


@dataclass(frozen=True, eq=False)
class Sources:
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

    rotations: Floats
    places: Tensor
    values: Tensor
    energy_places: Tensor
    energy: Tensor
    lattice: Tensor
    spacing: float
    centre: Floats
    side: int


def gather_sources(lines: Lines, rotations: Floats, cell: float) -> Sources:
    """Turn an image's vessels and field of view to every rotation (rad); ``cell`` in px."""
    points, values = _merged(lines, cell / 2)
    energy_at, energy = _gathered(points, np.abs(values) ** 2, cell * COARSE / 2)
    spacing = cell * COARSE / 2
    height, width = lines.fov.shape
    y, x = np.mgrid[spacing / 2 : height : spacing, spacing / 2 : width : spacing]
    seen = lines.fov[y.astype(int), x.astype(int)]
    return Sources(
        rotations,
        _turned(points - lines.centre, rotations),
        torch.from_numpy((np.exp(2j * rotations)[:, None] * values).astype(np.complex64)),
        _turned(energy_at - lines.centre, rotations),
        torch.from_numpy(energy.astype(np.float32)),
        _turned(np.column_stack([x[seen], y[seen]]) - lines.centre, rotations),
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


def _turned(points: Floats, rotations: Floats) -> Tensor:
    turns = np.exp(1j * rotations)[:, None] * (points[:, 0] + 1j * points[:, 1])
    return torch.view_as_real(torch.from_numpy(turns.astype(np.complex64)))


def draw_mask_and_energy(source: Sources, unit: float, size: int) -> tuple[Tensor, Tensor]:
    """Draw the field of view and the squared values, R×S×S each; ``unit`` in px a cell."""
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
    cells = places.round()
    cells = (cells - size * (cells / size).floor_()).to(torch.int32)  # faster than a remainder
    first = torch.arange(len(places), dtype=torch.int32)[:, None] * (size * size)
    index = (first + cells[..., 1] * size + cells[..., 0]).flatten()
    flat = torch.zeros(len(places) * size * size, dtype=values.dtype)
    return flat.index_add_(0, index, values.flatten()).view(len(places), size, size)
