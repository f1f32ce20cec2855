"""Any method on images shown to it in another way: ``invert+NAME``, ``multiscale+NAME``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from imedbench.core.registry import WRAPPERS
from imedbench.core.resize import resize, resize_points, resizing_matrix
from imedbench.core.stages import stage
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, Matches, Method, Registration

_MIN_SIDE = 32  # px; smaller images have no keypoints
_MIN_AREA = 0.01  # of a pixel after the transform; a tenth of its side
_ZOOMS = (1.0, 0.5, 0.67, 1.5, 2.0)  # of the moving image, the likeliest first


class _Wrapper:
    """What wrappers without weights share: the inner method, named and described anew."""

    def __init__(self, method: Method, name: str, addition: str) -> None:
        self.method = method
        self.info = replace(
            method.info,
            name=f"{name}+{method.info.name}",
            summary=f"{method.info.summary}, {addition}",
        )

    def prepare(self, device: str) -> None:
        """Prepare the inner method."""
        self.method.prepare(device)


@WRAPPERS.register("invert")
class Invert(_Wrapper):
    """Inverts images with dark vessels, so that vessels are bright in both, then runs a method.

    Args:
        method: what registers the images.
    """

    def __init__(self, method: Method) -> None:
        super().__init__(method, "invert", "after dark vessels were made bright")

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Invert what has dark vessels, then let the inner method register."""
        with stage("invert"):
            shown = [_bright(fixed), _bright(moving)]
        return self.method.register(*shown)


@WRAPPERS.register("multiscale")
class Multiscale(_Wrapper):
    """Shows the moving image at several sizes and keeps the answer most matches agree on.

    A method without matches is judged by its own confidence; with neither, the first answer counts.

    Args:
        method: what registers the images.
    """

    def __init__(self, method: Method) -> None:
        super().__init__(method, "multiscale", "at several sizes of the moving image")

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Try every size; the earlier one wins a tie."""
        tried = [self._at(fixed, moving, zoom) for zoom in _ZOOMS]
        return max(tried, key=lambda found: _support(found, moving))

    def _at(self, fixed: Image, moving: Image, zoom: float) -> Registration:
        width, height = (max(round(side * zoom), _MIN_SIDE) for side in moving.size)
        size = (width, height)
        found = self.method.register(
            fixed, Image(resize(moving.pixels, size, enlarge="cubic"), moving.modality)
        )
        values = {**found.diagnostics.values, "zoom": zoom}
        matches = found.diagnostics.matches
        if matches is not None:
            native = resize_points(matches.moving, size, moving.size)
            matches = Matches(native, matches.fixed, matches.inliers)
        diagnostics = replace(found.diagnostics, values=values, matches=matches)
        transform = found.fixed_from_moving
        if transform is not None:
            transform = Affine(resizing_matrix(moving.size, size)[:2]).then(transform)
        return replace(found, fixed_from_moving=transform, diagnostics=diagnostics)


def _support(found: Registration, moving: Image) -> tuple[bool, float]:
    """What speaks for an answer: agreeing matches, else the method's own confidence."""
    matches = found.diagnostics.matches
    evidence = (found.confidence or 0.0) if matches is None else float(matches.inliers.sum())
    return _is_sane(found, moving), evidence


def _is_sane(found: Registration, moving: Image) -> bool:
    """Whether the middle of the image is neither mirrored nor collapsed: robust fits may be."""
    if found.fixed_from_moving is None:
        return False
    middle = np.array(moving.size) / 2
    around = middle + np.array([[0, 0], [1, 0], [0, 1]]) * min(moving.size) / 8
    origin, right, below = found.fixed_from_moving.apply(around)
    edges = np.array([right - origin, below - origin]) / (min(moving.size) / 8)
    return bool(np.linalg.det(edges) > _MIN_AREA)


def _bright(image: Image) -> Image:
    from imedbench.core.field_of_view import field_of_view
    from imedbench.core.polarity import has_dark_vessels

    grey, fov = image.grey(), field_of_view(image.pixels)
    if not has_dark_vessels(grey, fov):
        return image
    return Image(np.where(fov, 255 - grey, 0).astype(np.uint8), image.modality)
