"""The registration network alone: correlations of features, a dense and smooth displacement."""

from __future__ import annotations

from typing import Literal

from imedbench.core.options import Natural
from imedbench.core.registry import METHODS
from imedbench.core.stages import stage
from imedbench.core.types import Diagnostics, Image, MethodInfo, Registration
from imedbench.methods import weights
from imedbench.methods.arbicon_report import ReportArbicon
from imedbench.methods.imed_joint import STEPS, WEIGHTS
from imedbench.methods.method_info import dense_info
from imedbench.methods.network_input import Polarity, even_plane

Network = Literal["coarse-to-fine", "report"]


@METHODS.register("arbicon")
class Arbicon:
    """The registration part of the joint network, from the images as they are.

    It always answers: no other starts are tried and nothing is withheld. ``transfer+arbicon`` shows
    it fake OCTA, ``vessel+arbicon`` vessel maps, as the report tried.

    Args:
        network: ``report`` is Arbicon-Net as it was published, which regresses the displacement at
            one level.
        passes: local steps, or how often the report's network runs; 0 for what suits it, 2 and 1.
        polarity: ``bright`` turns dark vessels bright; ``as-is`` only evens out light and contrast,
            which is the report's plain colour fundus against OCTA.
    """

    def __init__(
        self,
        *,
        network: Network = "coarse-to-fine",
        passes: Natural = 0,
        polarity: Polarity = "bright",
    ) -> None:
        self.polarity: Polarity = polarity
        self.steps = passes or STEPS
        self._report = (
            ReportArbicon(passes=passes or 1, polarity=polarity) if network == "report" else None
        )
        self.info: MethodInfo = (
            self._report.info
            if self._report
            else dense_info(
                "arbicon",
                weights.read_card(WEIGHTS),
                summary="a global and a local correlation of features, a quadratic field",
                paper="after Chen et al., NeurIPS 2019, coarse to fine",
            )
        )

    def prepare(self, device: str) -> None:
        """Load the network."""
        if self._report:
            self._report.prepare(device)
            return
        from imedbench.methods.coarse_to_fine_search import load_search

        self._search = load_search(WEIGHTS, device, steps=self.steps)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Predict where each pixel of the fixed image lies in the moving one."""
        if self._report:
            return self._report.register(fixed, moving)
        with stage("normalise"):
            planes = [even_plane(image, self.polarity) for image in (fixed, moving)]
            pictures = self._search.pictures(*planes)
        found = self._search(*pictures)
        return Registration(
            found.moving_from_fixed(*pictures).inverse(),
            confidence=found.confidence,
            diagnostics=Diagnostics(images={"fixed_vessels_square": found.vessels}),
        )
