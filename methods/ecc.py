"""Enhanced correlation coefficient: intensity-based registration by gradient ascent."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imedbench.core.field_of_view import field_of_view
from imedbench.core.registry import METHODS
from imedbench.core.stages import stage
from imedbench.core.transforms import Affine, Homography
from imedbench.core.types import Image, MethodInfo, Registration

_WORKING_SIZE = 512  # px, longer side of the finest level
_LEVELS = 4
_ITERATIONS = 200
_EPSILON = 1e-5


@METHODS.register("ecc")
class Ecc:
    """ECC maximisation (Evangelidis & Psarakis, TPAMI 30(10), 2008) on a Gaussian pyramid.

    Args:
        model: transform to fit.
        on: what is correlated: grey levels, or the size of their gradient, which does not care
            whether vessels are dark or bright.
    """

    def __init__(
        self,
        *,
        model: Literal["homography", "affine"] = "affine",
        on: Literal["gradient", "intensity"] = "gradient",
    ) -> None:
        self.model, self.on = model, on
        self.info = MethodInfo(
            name="ecc",
            summary=f"correlation of image {on} maximised from the identity",
            family=model,
            paper="Evangelidis & Psarakis, TPAMI 30(10), 2008",
        )

    def prepare(self, device: str) -> None:
        """Nothing to load."""

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Follow the correlation uphill, from coarse to fine."""
        import cv2

        with stage("features"):
            fixed_scale, moving_scale = _shrinkage(fixed), _shrinkage(moving)
            template = self._feature(fixed, fixed_scale)
            picture = self._feature(moving, moving_scale)
            mask = _shrunk(field_of_view(moving.pixels).astype(np.uint8), moving_scale)
        matrix = np.diag([1.0, 1.0, 1.0])
        with stage("ascent"):
            for level in reversed(range(_LEVELS)):
                try:
                    matrix = self._ascend(template, picture, mask, matrix, 0.5**level)
                except cv2.error:
                    return Registration.failed(
                        f"the ascent diverges at 1/{2**level} of the resolution"
                    )
        to_working, from_working = _scaling(fixed_scale), _scaling(1 / moving_scale)
        moving_from_fixed = from_working @ matrix @ to_working
        kind = Affine if self.model == "affine" else Homography
        return Registration(kind(moving_from_fixed).inverse())

    def _feature(self, image: Image, scale: float) -> NDArray[np.float32]:
        import cv2

        grey = cv2.GaussianBlur(_shrunk(image.grey(), scale).astype(np.float32), (0, 0), 1.0)
        if self.on == "intensity":
            return grey
        return cv2.magnitude(cv2.Scharr(grey, cv2.CV_32F, 1, 0), cv2.Scharr(grey, cv2.CV_32F, 0, 1))

    def _ascend(
        self,
        template: NDArray[np.float32],
        picture: NDArray[np.float32],
        mask: NDArray[np.uint8],
        matrix: NDArray[np.float64],
        scale: float,
    ) -> NDArray[np.float64]:
        """One level: the matrix maps template pixels to picture pixels, both at working size."""
        import cv2

        start = (_scaling(scale) @ matrix @ _scaling(1 / scale)).astype(np.float32)
        affine = self.model == "affine"
        motion = cv2.MOTION_AFFINE if affine else cv2.MOTION_HOMOGRAPHY
        stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _ITERATIONS, _EPSILON)
        _, found = cv2.findTransformECC(
            _shrunk(template, scale),
            _shrunk(picture, scale),
            start[:2] if affine else start,
            motion,
            stop,
            _shrunk(mask, scale),
            5,
        )
        full = np.vstack([found, [0, 0, 1]]) if affine else found
        return np.asarray(_scaling(1 / scale) @ full @ _scaling(scale), np.float64)


def _shrinkage(image: Image) -> float:
    return min(1.0, _WORKING_SIZE / max(image.size))


def _shrunk(image: NDArray[Any], scale: float) -> NDArray[Any]:
    import cv2

    if scale == 1:
        return image
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _scaling(scale: float) -> NDArray[np.float64]:
    """Pixel coordinates of an image to those of its resized copy: cell corners stay in place."""
    shift = (scale - 1) / 2
    return np.array([[scale, 0, shift], [0, scale, shift], [0, 0, 1.0]])
