"""The 2022 report's system made to win: one network that segments, matches and refines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from imedbench.core.options import Natural, Side
from imedbench.core.registry import METHODS
from imedbench.core.stages import stage
from imedbench.core.types import Diagnostics, Image, MethodInfo, Registration
from imedbench.methods import weights
from imedbench.methods.joint_report import ReportJoint
from imedbench.methods.method_info import dense_info
from imedbench.methods.network_input import even_plane
from imedbench.methods.transfer import TRANSFER_SIZE, TRANSFER_WEIGHTS, OctaLook

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS = "joint"
ACCEPTED = 0.5  # least confidence of an answer
SURE = 0.9  # confidence at which no other start is tried
STEPS = 2  # local steps; a third changes next to nothing

Network = Literal["coarse-to-fine", "report"]


@METHODS.register("imed-joint")
class ImedJoint:
    """The joint network, coarse to fine, or as the report has it.

    Args:
        network: ``report`` is the report's own, which regresses the motion at one level.
        passes: local steps, or how often the report's network runs; 0 for what suits it, 2 and 1.
        transfer: whether colour fundus is turned into fake OCTA first; the report's network
            always does.
        transfer_size: px; longer side of the images at the transfer.
        starts: whether turned and zoomed starts are tried where the answer is not sure.
        selfcheck: whether answers of low confidence are withheld.
    """

    def __init__(
        self,
        *,
        network: Network = "coarse-to-fine",
        passes: Natural = 0,
        transfer: bool = False,
        transfer_size: Side = TRANSFER_SIZE,
        starts: bool = True,
        selfcheck: bool = True,
    ) -> None:
        self._report = (
            ReportJoint(passes=passes or 1, transfer_size=transfer_size)
            if network == "report"
            else None
        )
        self.steps = passes or STEPS
        self.transfer, self.transfer_size = transfer, transfer_size
        self.starts, self.selfcheck = starts, selfcheck
        self.info: MethodInfo = (
            self._report.info
            if self._report
            else dense_info(
                "imed-joint",
                weights.read_card(WEIGHTS),
                summary="one encoder for vessels, a global match and a quadratic refinement",
                paper="Dong, Nie and Wei, SUSTech, 2022, coarse to fine",
            )
        )

    def prepare(self, device: str) -> None:
        """Load the network."""
        if self._report:
            self._report.prepare(device)
            return
        from imedbench.methods.coarse_to_fine_search import load_search

        self._search = load_search(WEIGHTS, device, steps=self.steps, sure=SURE, starts=self.starts)
        generator = weights.load(TRANSFER_WEIGHTS).to(device) if self.transfer else None
        self._look = OctaLook(generator, device, self.transfer_size) if generator else None

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Predict the quadratic map between two images, or say that the network is not sure."""
        if self._report:
            return self._report.register(fixed, moving)
        with stage("normalise"):
            pictures = self._search.pictures(self._plane(fixed), self._plane(moving))
        found = self._search(*pictures)
        diagnostics = Diagnostics(
            images={"fixed_vessels_square": found.vessels}, values={"start": found.start}
        )
        if self.selfcheck and found.confidence < ACCEPTED:
            return Registration.failed(
                f"confidence {found.confidence:.2f}, {ACCEPTED:g} is asked for", diagnostics
            )
        moving_from_fixed = found.moving_from_fixed(*pictures)
        return Registration(
            moving_from_fixed.inverse(), confidence=found.confidence, diagnostics=diagnostics
        )

    def _plane(self, image: Image) -> NDArray[np.float32]:
        """Bright vessels on an even ground."""
        from imedbench.core.field_of_view import field_of_view
        from imedbench.core.polarity import normalise

        shown = self._look(image) if self._look else image
        if shown is image:
            return even_plane(image)
        return normalise(shown.grey(), field_of_view(image.pixels), dark_vessels=False)
