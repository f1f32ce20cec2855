"""Any method on maps of vessels instead of images: ``vessel+arbicon``, ``vessel+NAME``."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from imedbench.core.registry import WRAPPERS
from imedbench.core.stages import stage
from imedbench.core.types import Image, Method, Registration
from imedbench.methods import weights
from imedbench.methods.method_info import wrapper_info

Segmentation = Literal["unet", "oriented", "ridge"]  # network, elongated filters, plain filters
VESSEL_WEIGHTS = "vessels"
_SIZE = 512  # px, longer side of the images at which the network finds vessels best


@WRAPPERS.register("vessel")
class VesselMaps:
    """Finds the vessels of both images by the U-Net, then runs another method on their maps.

    Args:
        method: what registers the maps.
    """

    def __init__(self, method: Method) -> None:
        self.method = method
        self.info = wrapper_info(
            "vessel",
            method.info,
            weights.read_card(VESSEL_WEIGHTS),
            paper="Ronneberger et al., MICCAI 2015",
            addition="on maps of vessels",
        )

    def prepare(self, device: str) -> None:
        """Load the U-Net and prepare the inner method."""
        from imedbench.methods.vessel_maps import Segmenter

        self._segmenter = Segmenter("unet", device)
        self.method.prepare(device)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Find vessels, then let the inner method register their maps."""
        with stage("maps"):
            maps = {"fixed": self._vessels(fixed), "moving": self._vessels(moving)}
        found = self.method.register(maps["fixed"], maps["moving"])
        shown = {f"{side}_vessels": image.pixels for side, image in maps.items()}
        diagnostics = replace(found.diagnostics, images={**shown, **found.diagnostics.images})
        return replace(found, diagnostics=diagnostics)

    def _vessels(self, image: Image) -> Image:
        """The map at the image's own size, so that its pixels are those of the image."""
        import cv2

        from imedbench.methods.vessel_maps import working_image

        view = working_image(image, min(1.0, _SIZE / max(image.size)))
        likely = self._segmenter.probability(view) * view.fov
        native = cv2.resize(likely, image.size, interpolation=cv2.INTER_LINEAR)
        return Image(np.rint(native * 255).astype(np.uint8), "vessels")
