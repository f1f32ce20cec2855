"""From two images to a dense transform by a network that registers squares of one size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from imedbench.core.arrays import Plane
from imedbench.core.resize import fitted_size, resize, resizing_matrix
from imedbench.core.transforms import Affine, DenseField, Transform, compose
from imedbench.methods.networks.unit_frame import smooth_grid, to_pixels

if TYPE_CHECKING:
    from torch import Tensor

    from imedbench.methods.networks.arbicon import Warp

Register = Callable[["Tensor", "Tensor"], "Warp"]
_CELL_PX = 3  # side of a cell of the correlation in its picture
_LINE_EVERY = 11  # px of the network's square between the lines of the displacement picture


@dataclass(frozen=True, eq=False)
class Square:
    """An image as the network sees it.

    Args:
        plane: float32 S×S in [0, 1], the whole image in its middle.
        from_image: from the image's own pixels to those of the square.
        outside: value beside the image.
    """

    plane: Plane
    from_image: Affine
    outside: float


@dataclass(frozen=True, eq=False)
class DenseAnswer:
    """What the network found.

    Args:
        source_from_target: in pixels of the two images.
        pictures: ``correlation`` and ``displacement``, uint8.
    """

    source_from_target: Transform
    pictures: dict[str, NDArray[np.uint8]]


def fit_square(plane: Plane, size: int, outside: float) -> Square:
    """Shrink or enlarge an image so that its longer side fills a square.

    Args:
        plane: float32 H×W.
        size: side of the square, px.
        outside: value beside the image.
    """
    height, width = plane.shape
    columns, rows = fitted_size((width, height), size)
    small = resize(plane, (columns, rows))
    top, left = (size - rows) // 2, (size - columns) // 2
    square = np.full((size, size), outside, np.float32)
    square[top : top + rows, left : left + columns] = small
    matrix = resizing_matrix((width, height), (columns, rows))[:2]
    matrix[:, 2] += left, top
    return Square(square, Affine(matrix), outside)


def register_squares(
    network: Register, source: Square, target: Square, passes: int, device: str
) -> DenseAnswer:
    """Run the network, and again on what it left.

    Args:
        network: batches of squares, source and target, to the warp from target to source.
        source: the image that would be resampled.
        target: the image whose frame is kept.
        passes: how often; every further pass sees the source as the passes before it moved it.
        device: where the network is.
    """
    size = len(target.plane)
    there, here = (
        torch.from_numpy(square.plane)[None, None].to(device) for square in (source, target)
    )
    warps: list[Warp] = []
    with torch.inference_mode():
        places = _through(warps, size, here)
        for _ in range(passes):
            seen = F.grid_sample(there - source.outside, places, align_corners=False)
            warps.append(network(seen + source.outside, here))
            places = _through(warps, size, here)
        found = to_pixels(places, (size, size))[0].float().cpu().numpy()
        correlation = warps[0].correlation[0].float().cpu().numpy()
    y, x = np.mgrid[:size, :size]
    moved = DenseField(found - np.stack([x, y], axis=-1))
    transform = compose(target.from_image, moved, source.from_image.inverse())
    pictures = {"correlation": _mosaic(correlation), "displacement": _moved_lines(moved, size)}
    return DenseAnswer(transform, pictures)


def _through(warps: Sequence[Warp], size: int, like: Tensor) -> Tensor:
    """Where all pixels of the target lie in the source, 1×S×S×2 in its unit frame.

    The warp that was found last comes first.
    """

    def transform(points: Tensor) -> Tensor:
        for warp in reversed(warps):
            points = warp.source_from_target(points)
        return points

    return smooth_grid(transform, (size, size), device=like.device)


def _mosaic(correlation: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A tile for every cell of the target that shows where in the source it looks alike."""
    h, w, rows, columns = correlation.shape
    tiles = correlation.transpose(2, 0, 3, 1).reshape(rows * h, columns * w)
    grey = (np.clip(tiles, 0, 1) * 255).astype(np.uint8)
    return np.kron(grey, np.ones((_CELL_PX, _CELL_PX), np.uint8))


def _moved_lines(moved: DenseField, size: int) -> NDArray[np.uint8]:
    """The straight lines of a grid on the target as they run in the source."""
    canvas = np.zeros((2 * size, 2 * size), np.uint8)
    along = np.linspace(0, size - 1, size)
    for level in np.linspace(0, size - 1, size // _LINE_EVERY + 1):
        across = np.full(size, level)
        for line in (np.column_stack([along, across]), np.column_stack([across, along])):
            points = np.rint(2 * moved.apply(line)).astype(np.int32)
            cv2.polylines(canvas, [points], False, 255, 1, cv2.LINE_AA)
    return canvas
