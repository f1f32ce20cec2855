"""Phase correlation of log-polar spectra: rotation and scale first, then the shift."""

from __future__ import annotations

import numpy as np

from imedbench.core.arrays import Plane
from imedbench.core.registry import METHODS
from imedbench.core.resize import fitted_size, resize, resizing_matrix
from imedbench.core.stages import stage
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, MethodInfo, Registration

_MIN_FREQUENCY = 4  # cycles an image; below lies the light, not the vessels


@METHODS.register("phase-correlation")
class PhaseCorrelation:
    """Fourier–Mellin registration (Reddy and Chatterji, TIP 5(8), 1996) with OpenCV.

    The spectrum's size does not feel shifts, and turning and growing shift its log-polar form. Of
    the two rotations half a turn apart that it leaves open, the one whose shift peaks higher wins.

    Args:
        size: px, longer side at which both images are compared.
    """

    def __init__(self, *, size: int = 512) -> None:
        self.size = size
        self.info = MethodInfo(
            name="phase-correlation",
            summary="phase correlation of log-polar spectra, then of the images",
            family="similarity",
            paper="Reddy and Chatterji, IEEE TIP 5(8), 1996",
        )

    def prepare(self, device: str) -> None:
        """Nothing to load."""

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Find the similarity that brings ``moving`` onto ``fixed``."""
        import cv2

        with stage("spectra"):
            still, moved = self._square(fixed), self._square(moving)
            window = cv2.createHanningWindow((self.size, self.size), cv2.CV_32F)
            (shift_radius, shift_angle), _ = cv2.phaseCorrelate(
                _log_polar(moved * window), _log_polar(still * window)
            )
        scale = float(np.exp(-shift_radius * np.log(self.size / 2) / self.size))
        if not 0.1 < scale < 10:
            return Registration.failed(f"the spectra differ by an impossible scale, {scale:.3g}")
        with stage("shift"):
            middle = ((self.size - 1) / 2,) * 2
            tried = []
            for half_turn in (0.0, 180.0):
                angle = 360 * shift_angle / self.size + half_turn
                pose = Affine.similarity(scale=scale, rotation_deg=angle, centre=middle)
                turned = cv2.warpAffine(moved, pose.matrix[:2], (self.size, self.size))
                shift, peak = cv2.phaseCorrelate(turned, still, window)
                tried.append((peak, pose.then(Affine([[1, 0, shift[0]], [0, 1, shift[1]]]))))
        _, best = max(tried, key=lambda one: one[0])
        to_square, from_square = self._to_square(moving), self._to_square(fixed).inverse()
        return Registration(to_square.then(best).then(from_square))

    def _to_square(self, image: Image) -> Affine:
        small = fitted_size(image.size, self.size)
        return Affine(resizing_matrix(image.size, small)[:2])

    def _square(self, image: Image) -> Plane:
        """The image in the corner of a square, less its mean, float32 S×S."""
        grey = resize(image.grey().astype(np.float32), fitted_size(image.size, self.size))
        square = np.zeros((self.size, self.size), np.float32)
        square[: grey.shape[0], : grey.shape[1]] = grey - grey.mean()
        return square


def _log_polar(plane: Plane) -> Plane:
    """Logarithm of the spectrum's size in polar coordinates: rows angle, columns log radius."""
    import cv2

    size = len(plane)
    spectrum = np.log1p(np.abs(np.fft.fftshift(np.fft.fft2(plane)))).astype(np.float32)
    y, x = np.mgrid[:size, :size] - size // 2
    spectrum[np.hypot(x, y) < _MIN_FREQUENCY] = 0
    flags = cv2.INTER_LINEAR | cv2.WARP_POLAR_LOG
    centre = (float(size // 2), float(size // 2))
    return cv2.warpPolar(spectrum, (size, size), centre, size / 2, flags)
