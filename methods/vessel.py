"""Any method on maps of vessels instead of images: ``vessel+NAME``, ``ridge+NAME``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from imedbench.core.arrays import Plane
from imedbench.core.registry import WRAPPERS
from imedbench.core.stages import stage
from imedbench.core.types import Image, Method, MethodInfo, Registration
from imedbench.methods import weights
from imedbench.methods.method_info import wrapper_info

if TYPE_CHECKING:
    from imedbench.methods.working_images import WorkingImage

Segmentation = Literal["unet", "oriented", "ridge"]  # network, elongated filters, plain filters
VESSEL_WEIGHTS = "vessels"
Network = Literal["vessel-lines", "vessels"]  # weights of the network; both ship
_SIZE = 512  # px, longer side of the images at which the network finds vessels best


class OnMaps(ABC):
    """Shows another method maps of vessels in the images' own pixels.

    Args:
        method: what registers the maps.
    """

    info: MethodInfo
    segmentation: Segmentation

    def __init__(self, method: Method) -> None:
        self.method = method

    def prepare(self, device: str) -> None:
        """Load what finds vessels, and prepare the inner method."""
        from imedbench.methods.vessel_maps import Segmenter

        self._segmenter = Segmenter(self.segmentation, device)
        self.method.prepare(device)

    @abstractmethod
    def _strength(self, view: WorkingImage) -> Plane:
        """How vessel-like each pixel is, float32 H×W; 1 for a clear vessel."""

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Find vessels, then let the inner method register their maps."""
        with stage("maps"):
            maps = {"fixed": self._map(fixed), "moving": self._map(moving)}
        found = self.method.register(maps["fixed"], maps["moving"])
        shown = {f"{side}_vessels": image.pixels for side, image in maps.items()}
        diagnostics = replace(found.diagnostics, images={**shown, **found.diagnostics.images})
        return replace(found, diagnostics=diagnostics)

    def _map(self, image: Image) -> Image:
        """The map at the image's own size, so that its pixels are those of the image."""
        import cv2

        from imedbench.methods.working_images import working_image

        view = working_image(image, min(1.0, _SIZE / max(image.size)))
        strength = np.clip(self._strength(view), 0, 1) * view.fov
        native = cv2.resize(strength, image.size, interpolation=cv2.INTER_LINEAR)
        return Image(np.rint(native * 255).astype(np.uint8), "vessels")


@WRAPPERS.register("vessel")
class VesselMaps(OnMaps):
    """Finds the vessels of both images by the U-Net, then runs another method on their maps."""

    segmentation = "unet"

    def __init__(self, method: Method) -> None:
        super().__init__(method)
        self.info = wrapper_info(
            "vessel",
            method.info,
            weights.read_card(VESSEL_WEIGHTS),
            paper="Ronneberger et al., MICCAI 2015",
            addition="on maps of vessels",
        )

    def _strength(self, view: WorkingImage) -> Plane:
        return self._segmenter.probability(view)


@WRAPPERS.register("ridge")
class RidgeMaps(OnMaps):
    """Finds vessels by filters, without weights, then runs another method on their maps.

    Args:
        method: what registers the maps.
        filters: ``oriented`` looks along lines, ``ridge`` at second derivatives alone.
    """

    def __init__(
        self, method: Method, *, filters: Literal["oriented", "ridge"] = "oriented"
    ) -> None:
        super().__init__(method)
        self.segmentation = filters
        self.info = replace(
            method.info,
            name=f"ridge+{method.info.name}",
            summary=f"{method.info.summary}, on maps of ridges",
        )

    def _strength(self, view: WorkingImage) -> Plane:
        return self._segmenter(view).strength
