"""The 2022 report's system as it stands there: transfer, joint network, dense displacement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imedbench.core.stages import stage
from imedbench.core.types import Diagnostics, Image, Registration
from imedbench.methods import weights
from imedbench.methods.method_info import dense_info
from imedbench.methods.transfer import TRANSFER_SIZE, OctaLook

if TYPE_CHECKING:
    from imedbench.methods.dense_registration import Square

WEIGHTS = "joint-report"


class ReportJoint:
    """Modality transfer, then one network that segments and registers; nothing else.

    Args:
        passes: how often the network runs, each time on what it left the time before; 1 is the
            report's.
        transfer_size: px; longer side of the images at the transfer.
    """

    def __init__(self, *, passes: int = 1, transfer_size: int = TRANSFER_SIZE) -> None:
        self.passes, self.transfer_size = passes, transfer_size
        self.info = dense_info(
            "imed-joint",
            weights.read_card(WEIGHTS),
            summary="CycleGAN, then one encoder for vessels and a dense displacement",
            paper="Dong, Nie and Wei, SUSTech, 2022",
        )

    def prepare(self, device: str) -> None:
        """Load the network, its modality transformer with it."""
        from imedbench.methods.networks.joint import JointNetwork

        net = weights.load(WEIGHTS)
        assert isinstance(net, JointNetwork)
        assert net.transformer is not None
        self._net, self._device = net.to(device), device
        self._look = OctaLook(net.transformer, device, self.transfer_size)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Predict where each pixel of one image lies in the other.

        The network was trained with fake OCTA as its source, so the image that was transferred is
        the source, and the moving one where both were or neither was.
        """
        from imedbench.methods.dense_registration import register_squares

        images = {"fixed": fixed, "moving": moving}
        with stage("transfer"):
            shown = {side: self._look(image) for side, image in images.items()}
        fakes = {side: shown[side] for side in images if shown[side] is not images[side]}
        with stage("network"):
            squares = {side: self._square(images[side], shown[side]) for side in images}
            source, target = ("fixed", "moving") if [*fakes] == ["fixed"] else ("moving", "fixed")
            found = register_squares(
                self._net.register, squares[source], squares[target], self.passes, self._device
            )
        way = found.source_from_target
        pictures = {f"fake_octa_{side}": fake.pixels for side, fake in fakes.items()}
        return Registration(
            way if source == "fixed" else way.inverse(),
            diagnostics=Diagnostics(images={**pictures, **found.pictures}),
        )

    def _square(self, image: Image, shown: Image) -> Square:
        from imedbench.core.field_of_view import field_of_view
        from imedbench.core.polarity import normalise
        from imedbench.methods.dense_registration import fit_square

        plane = normalise(shown.grey(), field_of_view(image.pixels), dark_vessels=False)
        return fit_square(plane, self._net.size, 0.5)
