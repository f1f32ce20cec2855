"""Arbicon-Net as the report has it: one level, a flat regression of the displacement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imedbench.core.stages import stage
from imedbench.core.types import Diagnostics, Image, Registration
from imedbench.methods import weights
from imedbench.methods.method_info import dense_info
from imedbench.methods.network_input import Polarity, even_plane

if TYPE_CHECKING:
    from imedbench.methods.dense_registration import Square

WEIGHTS = "arbicon"


class ReportArbicon:
    """Arbicon-Net trained on warped views of retinas.

    Args:
        passes: how often the network runs, each time on what it left the time before; 1 is the
            paper's.
        polarity: see `even_plane`.
    """

    def __init__(self, *, passes: int = 1, polarity: Polarity = "bright") -> None:
        self.passes = passes
        self.polarity: Polarity = polarity
        self.info = dense_info(
            "arbicon",
            weights.read_card(WEIGHTS),
            summary="dense displacement from a 4-D correlation of features",
            paper="Chen et al., NeurIPS 2019",
        )

    def prepare(self, device: str) -> None:
        """Load the network."""
        from imedbench.methods.networks.arbicon import ArbiconNet

        net = weights.load(WEIGHTS)
        assert isinstance(net, ArbiconNet)
        self._net, self._device = net.to(device), device

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Predict where each pixel of the fixed image lies in the moving one."""
        from imedbench.methods.dense_registration import register_squares

        with stage("normalise"):
            source, target = self._square(moving), self._square(fixed)
        with stage("network"):
            found = register_squares(self._net, source, target, self.passes, self._device)
        shown = Diagnostics(images=found.pictures)
        return Registration(found.source_from_target.inverse(), diagnostics=shown)

    def _square(self, image: Image) -> Square:
        import numpy as np

        from imedbench.methods.dense_registration import fit_square
        from imedbench.methods.vessel import VESSEL_WEIGHTS

        if image.modality == VESSEL_WEIGHTS:  # a map of vessels is what the network was trained on
            return fit_square(np.float32(1 / 255) * image.grey(), self._net.size, 0.0)
        return fit_square(even_plane(image, self.polarity), self._net.size, 0.5)
