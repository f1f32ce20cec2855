"""Gradient descent on kornia's homography: direct alignment of grey levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from imedbench.core.registry import METHODS
from imedbench.core.resize import resize, resizing_matrix
from imedbench.core.stages import stage
from imedbench.core.transforms import Homography
from imedbench.core.types import Image, MethodInfo, Registration

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register("kornia-registrator")
class KorniaRegistrator:
    """Kornia's `ImageRegistrator`: Adam on the L1 distance over a pyramid, from the identity.

    Args:
        size: px, side of the squares to which both images are resized.
        steps: of Adam on each of the five levels, at most.
        learning_rate: of Adam.
    """

    def __init__(self, *, size: int = 256, steps: int = 100, learning_rate: float = 1e-2) -> None:
        self.size, self.steps, self.learning_rate = size, steps, learning_rate
        self.info = MethodInfo(
            name="kornia-registrator",
            summary="grey levels aligned by gradient descent on a homography",
            family="homography",
            paper="Riba et al., WACV 2020",
            uses_cuda=True,
        )

    def prepare(self, device: str) -> None:
        """Build the pyramid and the optimiser."""
        from kornia.geometry import ImageRegistrator

        self._device = device
        self._registrator = ImageRegistrator(
            "homography", lr=self.learning_rate, num_iterations=self.steps
        ).to(device)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Follow the difference of the images downhill."""
        import torch

        planes = [
            resize(image.grey(), (self.size, self.size)).astype(np.float32) / 255
            for image in (moving, fixed)
        ]
        source, target = (torch.from_numpy(p)[None, None].to(self._device) for p in planes)
        with stage("descent"), torch.enable_grad():
            found: Tensor = self._registrator.register(source, target)[0]
        unit_from_square = resizing_unit(self.size)
        moving_square_from_fixed = (
            np.linalg.inv(unit_from_square)
            @ found.detach().cpu().double().numpy()
            @ unit_from_square
        )
        square = (self.size, self.size)
        to_square = resizing_matrix(fixed.size, square)
        matrix = resizing_matrix(square, moving.size) @ moving_square_from_fixed @ to_square
        return Registration(Homography(matrix).inverse())


def resizing_unit(size: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """From pixels of a square to kornia's coordinates, in which the middles of its rim are ±1."""
    half = (size - 1) / 2
    return np.array([[1 / half, 0, -1], [0, 1 / half, -1], [0, 0, 1]])
