"""Transforms to and from OpenCV, SimpleITK, scikit-image and kornia.

Every function takes or gives ``fixed_from_moving``, which maps points of the moving image to the
fixed one, as methods answer it. Libraries warp by the other direction or by this one, in pixels, in
millimetres or from −1 to 1: what each of them wants is done here, and its call stands beside it.
Points are (x, y) px and shapes (height, width) px throughout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imedbench.core.arrays import Matrix
from imedbench.core.errors import BadInput
from imedbench.core.transforms.base import Transform
from imedbench.core.transforms.dense import from_sampled, sampled
from imedbench.core.transforms.itk import from_simpleitk, to_simpleitk
from imedbench.core.transforms.matrix import Affine, Homography
from imedbench.core.transforms.smooth import Quadratic

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, int]
__all__ = [
    "from_kornia",
    "from_kornia_normalised",
    "from_opencv",
    "from_opencv_maps",
    "from_simpleitk",
    "from_skimage",
    "from_torch_grid",
    "to_kornia",
    "to_kornia_normalised",
    "to_opencv",
    "to_opencv_maps",
    "to_simpleitk",
    "to_skimage",
    "to_torch_grid",
]


# OpenCV


def to_opencv(fixed_from_moving: Transform) -> Matrix:
    """Return the matrix that ``cv2.warpAffine`` or ``cv2.warpPerspective`` takes.

    ``cv2.warpPerspective(moving, to_opencv(t), (width, height))``, of the fixed image.

    Returns:
        2×3 for an affine transform, else 3×3.

    Raises:
        BadInput: when the transform is no matrix; `to_opencv_maps` takes any.

    Example:
        >>> to_opencv(Affine([[1, 0, 5], [0, 1, 0]]))
        array([[1., 0., 5.],
               [0., 1., 0.]])
    """
    matrix = _matrix(fixed_from_moving, "to_opencv_maps")
    return matrix[:2] if isinstance(fixed_from_moving, Affine) else matrix


def from_opencv(matrix: ArrayLike) -> Homography:
    """Read the 2×3 or 3×3 matrix that OpenCV would warp the moving image by.

    Example:
        >>> from_opencv([[1, 0, 5], [0, 1, 0]]).apply([[1, 2]])
        array([[6., 2.]])
    """
    array = np.asarray(matrix, np.float64)
    return Affine(array) if array.shape == (2, 3) else Homography(array)


def to_opencv_maps(
    fixed_from_moving: Transform, fixed_shape: Shape
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the two maps of ``cv2.remap(moving, map_x, map_y, cv2.INTER_LINEAR)``, H×W each.

    Example:
        >>> map_x, map_y = to_opencv_maps(Affine([[1, 0, 5], [0, 1, 0]]), (10, 10))
        >>> map_x[0, 7], map_y[0, 7]
        (np.float32(2.0), np.float32(0.0))
    """
    where = sampled(fixed_from_moving, fixed_shape).astype(np.float32)
    return np.ascontiguousarray(where[..., 0]), np.ascontiguousarray(where[..., 1])


def from_opencv_maps(map_x: ArrayLike, map_y: ArrayLike) -> Transform:
    """Read two maps of ``cv2.remap``, H×W of the fixed image each."""
    return from_sampled(np.stack([np.asarray(map_x), np.asarray(map_y)], axis=-1))


# scikit-image


def to_skimage(fixed_from_moving: Transform) -> Any:
    """Return a ``skimage.transform.AffineTransform`` or ``ProjectiveTransform``.

    ``skimage.transform.warp(moving, to_skimage(t).inverse, output_shape=fixed.shape)``: `warp` asks
    for the inverse.

    Raises:
        BadInput: when the transform is no matrix; `to_opencv_maps` or `to_torch_grid` take any.

    Example:
        >>> to_skimage(Affine([[1, 0, 5], [0, 1, 0]])).translation
        array([5., 0.])
    """
    from skimage.transform import AffineTransform, ProjectiveTransform

    matrix = _matrix(fixed_from_moving, "to_opencv_maps")
    kind: Any = AffineTransform if isinstance(fixed_from_moving, Affine) else ProjectiveTransform
    return kind(matrix=matrix)


def from_skimage(transform: Any) -> Transform:
    """Read a transform of scikit-image that maps moving points to fixed ones.

    Args:
        transform: Euclidean, similarity, affine, projective, or polynomial of order 1 or 2.

    Raises:
        BadInput: for another kind.

    Example:
        >>> from skimage.transform import EuclideanTransform
        >>> from_skimage(EuclideanTransform(translation=(5, 0))).apply([[1, 2]])
        array([[6., 2.]])
    """
    from skimage.transform import PolynomialTransform, ProjectiveTransform

    numbers = np.asarray(getattr(transform, "params", None))
    if isinstance(transform, ProjectiveTransform) and numbers.shape == (3, 3):
        is_affine = np.allclose(numbers[2], [0, 0, 1], atol=1e-15)
        return Affine(numbers) if is_affine else Homography(numbers)
    if isinstance(transform, PolynomialTransform) and numbers.shape in ((2, 3), (2, 6)):
        return Affine(numbers[:, [1, 2, 0]]) if numbers.shape[1] == 3 else Quadratic(numbers)
    raise BadInput(f"a {type(transform).__name__} of scikit-image cannot be read; a matrix can")


# kornia and torch


def to_kornia(fixed_from_moving: Transform) -> Tensor:
    """Return the 1×3×3 float32 matrix of ``warp_perspective(moving, matrix, fixed_shape)``.

    Raises:
        BadInput: when the transform is no matrix; `to_torch_grid` takes any.
    """
    return _tensor(_matrix(fixed_from_moving, "to_torch_grid")[None])


def from_kornia(matrix: Tensor) -> Homography:
    """Read the 1×3×3 pixel matrix that ``warp_perspective`` would warp the moving image by."""
    return Homography(_one(matrix))


def to_kornia_normalised(
    fixed_from_moving: Transform,
    fixed_shape: Shape,
    moving_shape: Shape,
    *,
    align_corners: bool = False,
) -> Tensor:
    """Return the 1×3×3 matrix of ``homography_warp(moving, matrix, fixed_shape)``, from −1 to 1.

    Args:
        fixed_from_moving: a matrix.
        fixed_shape: of the fixed image.
        moving_shape: of the moving image.
        align_corners: as given to ``homography_warp``: whether ±1 are the outer pixels' centres.

    Raises:
        BadInput: when the transform is no matrix.
    """
    matrix = Homography(_matrix(fixed_from_moving, "to_torch_grid"))
    into, out = (_unit(shape, align_corners) for shape in (moving_shape, fixed_shape))
    return _tensor((into @ matrix.inverse().matrix @ np.linalg.inv(out))[None])


def from_kornia_normalised(
    matrix: Tensor, fixed_shape: Shape, moving_shape: Shape, *, align_corners: bool = False
) -> Homography:
    """Read a matrix of ``homography_warp``; see `to_kornia_normalised`."""
    into, out = (_unit(shape, align_corners) for shape in (moving_shape, fixed_shape))
    return Homography(np.linalg.inv(into) @ _one(matrix) @ out).inverse()


def to_torch_grid(
    fixed_from_moving: Transform,
    fixed_shape: Shape,
    moving_shape: Shape,
    *,
    align_corners: bool = False,
) -> Tensor:
    """Return the 1×H×W×2 grid of ``torch.nn.functional.grid_sample(moving, grid)``.

    Args:
        fixed_from_moving: any transform.
        fixed_shape: of the fixed image, the grid's.
        moving_shape: of the moving image.
        align_corners: as given to ``grid_sample``: whether ±1 are the outer pixels' centres.
    """
    unit = Affine(_unit(moving_shape, align_corners))
    where = sampled(fixed_from_moving, fixed_shape).reshape(-1, 2)
    return _tensor(unit.apply(where).reshape(1, *fixed_shape, 2))


def from_torch_grid(grid: Tensor, moving_shape: Shape, *, align_corners: bool = False) -> Transform:
    """Read a 1×H×W×2 grid of ``grid_sample``; see `to_torch_grid`."""
    places = _one(grid)
    pixels = Affine(_unit(moving_shape, align_corners)).inverse().apply(places.reshape(-1, 2))
    return from_sampled(pixels.reshape(places.shape))


def _matrix(transform: Transform, instead: str) -> Matrix:
    if not isinstance(transform, Homography):
        raise BadInput(f"a {transform.kind} transform has no matrix; use {instead}")
    return transform.matrix


def _unit(shape: Shape, align_corners: bool) -> Matrix:
    """Pixels to −1 … 1, as torch counts: to the outer pixels' centres, or to their edges."""
    height, width = shape
    if align_corners:
        return np.array([[2 / (width - 1), 0, -1], [0, 2 / (height - 1), -1], [0, 0, 1.0]])
    return np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1.0]])


def _tensor(array: NDArray[np.float64]) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _one(tensor: Tensor) -> NDArray[np.float64]:
    """The one item of a batch."""
    if tensor.shape[0] != 1:
        raise BadInput(f"a batch of {tensor.shape[0]}: give one, as tensor[i : i + 1]")
    return tensor.detach().cpu().numpy()[0].astype(np.float64)
