"""Transforms as ITK, 3D Slicer and elastix read them: ``.tfm`` files, and SimpleITK's objects."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.errors import BadInput
from imedbench.core.transforms.base import Transform
from imedbench.core.transforms.dense import from_sampled, sampled
from imedbench.core.transforms.matrix import Affine
from imedbench.core.transforms.warp import pixel_grid

TOLERANCE_PX = 0.02  # largest error of a field that is read linearly between its nodes
_STEPS = (16, 8, 4, 2, 1)  # px between nodes, the first that is close enough
_HEAD = "#Insight Transform File V1.0\n#Transform 0\n"


def to_itk(moving_from_fixed: Transform, fixed_size: tuple[int, int]) -> str:
    """Write a transform as an ITK text file, in pixels of images without spacing and origin.

    ITK resamples the moving image with the map from the fixed image's points to the moving image's,
    so that is what the file holds: an ``AffineTransform`` where the map is affine, else a
    ``DisplacementFieldTransform`` over the fixed image.

    Args:
        moving_from_fixed: maps points of the fixed image to the moving image.
        fixed_size: width and height of the fixed image, px.

    Returns:
        The content of the file.
    """
    if isinstance(moving_from_fixed, Affine):
        matrix = moving_from_fixed.matrix
        numbers = [*matrix[:2, :2].ravel(), *matrix[:2, 2]]
        return (
            f"{_HEAD}Transform: AffineTransform_double_2_2\n"
            f"Parameters: {_numbers(numbers)}\nFixedParameters: 0 0\n"
        )
    for step in _STEPS:
        nodes, shape = _nodes(fixed_size, step)
        moved = moving_from_fixed.apply(nodes) - nodes
        # Where the map is undefined, look where there is no image.
        moved = np.where(np.isfinite(moved), moved, 1e6)
        if step == 1 or _error(moving_from_fixed, nodes, moved, shape, step) < TOLERANCE_PX:
            break
    fixed = [*shape, 0, 0, step, step, 1, 0, 0, 1]
    return (
        f"{_HEAD}Transform: DisplacementFieldTransform_double_2_2\n"
        f"Parameters: {_numbers(moved.ravel())}\nFixedParameters: {_numbers(fixed)}\n"
    )


def _nodes(size: tuple[int, int], step: int) -> tuple[Points, tuple[int, int]]:
    """Positions of the nodes, row by row, and how many there are across and down."""
    shape = (-(-(size[0] - 1) // step) + 1, -(-(size[1] - 1) // step) + 1)
    x, y = np.meshgrid(step * np.arange(shape[0]), step * np.arange(shape[1]))
    return np.stack([x.ravel(), y.ravel()], 1).astype(np.float64), shape


def _error(
    transform: Transform, nodes: Points, moved: Points, shape: tuple[int, int], step: int
) -> float:
    """Largest error in the middle of the cells, px; there a linear field errs most."""
    grid = moved.reshape(shape[1], shape[0], 2)
    if min(shape) < 2:
        return 0.0
    read = (grid[:-1, :-1] + grid[1:, :-1] + grid[:-1, 1:] + grid[1:, 1:]) / 4
    centres = nodes.reshape(shape[1], shape[0], 2)[:-1, :-1].reshape(-1, 2) + step / 2
    exact = transform.apply(centres) - centres
    error = np.linalg.norm(read.reshape(-1, 2) - exact, axis=1)
    known = error[np.isfinite(error) & (np.abs(exact) < 1e5).all(1)]
    return float(known.max()) if len(known) else 0.0


def _numbers(values: object) -> str:
    return " ".join(f"{value:.10g}" for value in np.asarray(values, np.float64))


def to_simpleitk(
    fixed_from_moving: Transform,
    fixed: Any = None,
    moving: Any = None,
    *,
    fixed_shape: tuple[int, int] | None = None,
) -> Any:
    """Make the transform that ``sitk.Resample`` takes.

    ``sitk.Resample(moving, fixed, to_simpleitk(t, fixed, moving))``: SimpleITK maps points of the
    fixed image's space to the moving image's, in mm, so spacing, origin and direction of both
    images count.

    Args:
        fixed_from_moving: in pixels.
        fixed: the ``sitk.Image``; left out, a grid of pixels of 1 mm.
        moving: likewise.
        fixed_shape: needed of a transform that is not affine, where ``fixed`` is left out.

    Returns:
        ``sitk.AffineTransform``, or a ``sitk.DisplacementFieldTransform`` with a node a pixel.

    Raises:
        BadInput: when the shape is needed and missing.
    """
    sitk = _toolkit()
    of_fixed, of_moving = _space(fixed), _space(moving)
    if isinstance(fixed_from_moving, Affine):
        matrix = of_fixed.inverse().then(fixed_from_moving.inverse()).then(of_moving)
        assert isinstance(matrix, Affine)
        affine = sitk.AffineTransform(2)
        affine.SetMatrix(matrix.matrix[:2, :2].ravel().tolist())
        affine.SetTranslation(matrix.matrix[:2, 2].tolist())
        return affine
    shape = _shape(fixed, fixed_shape)
    where = sampled(fixed_from_moving, shape).reshape(-1, 2)
    moved = of_moving.apply(where) - of_fixed.apply(pixel_grid(shape))
    field = sitk.GetImageFromArray(moved.reshape(*shape, 2), isVector=True)
    if fixed is not None:
        field.CopyInformation(fixed)
    return sitk.DisplacementFieldTransform(field)


def from_simpleitk(
    transform: Any,
    fixed: Any = None,
    moving: Any = None,
    *,
    fixed_shape: tuple[int, int] | None = None,
) -> Transform:
    """Read a transform that ``sitk.Resample(moving, fixed, transform)`` would warp by.

    Args:
        transform: any of SimpleITK's in two dimensions.
        fixed: the ``sitk.Image``; left out, a grid of pixels of 1 mm.
        moving: likewise.
        fixed_shape: needed of a transform that is not linear, where ``fixed`` is left out.

    Raises:
        BadInput: when the shape is needed and missing.
    """
    sitk = _toolkit()
    of_fixed, into_moving = _space(fixed), _space(moving).inverse()
    if transform.IsLinear():
        origin, right, down = (np.array(transform.TransformPoint(p)) for p in np.eye(3, 2, -1))
        linear = Affine(np.column_stack([right - origin, down - origin, origin]))
        return of_fixed.then(linear).then(into_moving).inverse()
    shape = _shape(fixed, fixed_shape)
    grid = [shape[::-1], *(_geometry(fixed))]
    field = sitk.TransformToDisplacementField(transform, sitk.sitkVectorFloat64, *grid)
    moved = sitk.GetArrayFromImage(field).reshape(-1, 2)
    where = into_moving.apply(of_fixed.apply(pixel_grid(shape)) + moved)
    return from_sampled(where.reshape(*shape, 2))


def _geometry(image: Any) -> tuple[Any, Any, Any]:
    """Origin, spacing and direction of an image; of none, those of a grid of pixels."""
    if image is None:
        return (0.0, 0.0), (1.0, 1.0), (1.0, 0.0, 0.0, 1.0)
    return image.GetOrigin(), image.GetSpacing(), image.GetDirection()


def _space(image: Any) -> Affine:
    """Pixels of an image to points of its space, mm."""
    origin, spacing, direction = map(np.array, _geometry(image))
    return Affine(np.column_stack([direction.reshape(2, 2) * spacing, origin]))


def _shape(image: Any, shape: tuple[int, int] | None) -> tuple[int, int]:
    if image is None and shape is None:
        raise BadInput("a transform that is not affine needs the fixed image, or fixed_shape")
    return shape or (image.GetHeight(), image.GetWidth())


def _toolkit() -> Any:
    """SimpleITK, which has no types."""
    try:
        return import_module("SimpleITK")
    except ImportError as error:
        raise BadInput("SimpleITK is not installed: pip install imedbench[itk]") from error
