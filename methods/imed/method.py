"""The registration pipeline, top to bottom.

Both images are brought to one look and their vessels found. Every rotation, scale and shift is
tried coarsely, the best candidates are aligned with the vessels' centre lines, and the winner must
meet more vessels than chance would, and clearly more than the next best answer. Otherwise it tries
again at another size and over all rotations; if nothing convinces, it says that it failed.

`prepare` (`frame`, `segmenter`, `maps`, `lines`, `targets`), then `attempt`: `propose` (`search`) →
`shortlist` → `refine` → `polish` → `selfcheck`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from imedbench.core.registry import METHODS
from imedbench.core.stages import stage
from imedbench.core.transforms import Homography
from imedbench.core.types import Diagnostics, Image, MethodInfo, Registration
from imedbench.methods import weights
from imedbench.methods.imed.options import (
    NETWORK_WEIGHTS,
    VESSEL_WEIGHTS,
    Hypotheses,
    Refinement,
    Rotation,
    Segmentation,
)
from imedbench.methods.transfer import TRANSFER_WEIGHTS, OctaLook

if TYPE_CHECKING:
    from imedbench.methods.imed.attempt import Found
    from imedbench.methods.imed.search import SearchRange

_FEWEST_POINTS = 30
_NARROW_DEG = 40.0  # most pairs are turned less
_SURE = 0.95  # confidence at which the search ends
_BELIEVED = 0.8  # confidence below which an answer is withheld


@METHODS.register("imed")
@dataclass(kw_only=True)
class Imed:
    """Vessel maps, exhaustive search, truncated chamfer refinement, honest self-check.

    Args:
        size: longer side, px, to which larger images are shrunk, and pairs of smaller ones
            enlarged.
        transfer: turn colour fundus into fake OCTA first, instead of merely making vessels bright.
        segmentation: how vessels are found: by the network, or by filters alone.
        hypotheses: who proposes poses: the search, the correlation network, or both.
        rotation: ``narrow`` searches to ±40°, ``all`` the full circle; ``auto`` begins narrow and
            goes on, where that finds nothing sure, to another size and to the full circle.
        candidates: how many poses of the search are looked at closely.
        refine: the most general transform that the refinement may reach; ``off`` returns the
            best of the proposals as it is.
        polish: align the maps below a pixel at the end.
        selfcheck: refuse transforms that meet too few vessels.
    """

    size: int = 512
    transfer: bool = False
    segmentation: Segmentation = "unet"
    hypotheses: Hypotheses = "search"
    rotation: Rotation = "auto"
    candidates: int = 48
    refine: Refinement = "homography"
    polish: bool = True
    selfcheck: bool = True

    name: ClassVar[str] = "imed"
    # What separates the thorough form from the fast one, beside the size and the candidates:
    cells_across: ClassVar[int] = 42  # of the search's grid
    scale_step: ClassVar[float] = 1.12  # of the search
    finalists: ClassVar[int] = 4  # different answers refined to the end
    last_steps: ClassVar[int] = 6  # of Gauss–Newton with the homography
    retry: ClassVar[float] = 0.5  # at how much of the size the second attempt is made

    @property
    def info(self) -> MethodInfo:
        """What the method is, with its options applied."""
        cards = [weights.read_card(name) for name in self._weights()]
        return MethodInfo(
            name=self.name,
            summary="vessel maps, exhaustive search, chamfer refinement, self-check",
            family="similarity" if self.refine == "off" else self.refine,
            weights_licence=" AND ".join(dict.fromkeys(c.licence for c in cards)) or "none",
            weights=" ".join(card.sha256[:16] for card in cards),
            trained_on=tuple(dict.fromkeys(name for card in cards for name in card.trained_on)),
            training_images=tuple(dict.fromkeys(i for card in cards for i in card.training_images)),
            uses_cuda=bool(cards),
        )

    def _weights(self) -> list[str]:
        used = {
            VESSEL_WEIGHTS: self.segmentation == "unet",
            NETWORK_WEIGHTS: self.hypotheses != "search",
            TRANSFER_WEIGHTS: self.transfer,
        }
        return [name for name, is_used in used.items() if is_used]

    def prepare(self, device: str) -> None:
        """Load the networks."""
        from imedbench.methods.imed.propose import load_network
        from imedbench.methods.imed.segmenter import Segmenter

        self._device = device
        self._segmenter = Segmenter(self.segmentation, VESSEL_WEIGHTS, device)
        self._network = load_network(self.hypotheses, device)
        self._look: OctaLook | None = None
        if self.transfer:
            self._look = OctaLook(weights.load(TRANSFER_WEIGHTS).to(device), device)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Find the transform that brings ``moving`` onto ``fixed``."""
        best: Found | None = None
        for found in self.attempts(fixed, moving):
            best = found if best is None or found.confidence > best.confidence else best
            if best.confidence >= _SURE:
                break
        if best is None:
            return Registration.failed("hardly any vessels in one of the images")
        return self._answer(best)

    def attempts(self, fixed: Image, moving: Image) -> Iterator[Found]:
        """Try one plan after the other, for as long as the caller asks for more.

        Yields:
            What each attempt found; nothing for one that sees hardly any vessels.
        """
        from imedbench.methods.imed.attempt import Effort, attempt
        from imedbench.methods.imed.frame import working_scales
        from imedbench.methods.imed.prepare import prepare
        from imedbench.methods.imed.propose import Proposer

        effort = Effort(self.refine, self.polish, self.finalists, self.last_steps)
        images = [self._shown(fixed), self._shown(moving)]
        for size, span in self._plan():
            scales = working_scales(images[0], images[1], size)
            sides = [prepare(i, s, self._segmenter) for i, s in zip(images, scales, strict=True)]
            if min(len(side.field.lines) for side in sides) < _FEWEST_POINTS:
                continue
            propose = Proposer(span, self.candidates, self.hypotheses, self._network, self._device)
            yield attempt(sides[0], sides[1], propose, effort)

    def _shown(self, image: Image) -> Image:
        if self._look is None:
            return image
        with stage("transfer"):
            return self._look(image)

    def _plan(self) -> list[tuple[int, SearchRange]]:
        """Sizes and poses to try in turn until one is sure."""
        from imedbench.methods.imed.search import SearchRange

        everything = SearchRange(cells_across=self.cells_across, scale_step=self.scale_step)
        narrow = replace(everything, rotation_deg=_NARROW_DEG)
        if self.rotation != "auto":
            return [(self.size, narrow if self.rotation == "narrow" else everything)]
        # Smaller images have less noise, larger ones more faint vessels: what fails may go there.
        return [
            (self.size, narrow),
            (round(self.size * self.retry), narrow),
            (self.size, everything),
        ]

    def _answer(self, found: Found) -> Registration:
        evidence = found.evidence
        shown = Diagnostics(
            images={
                "fixed_vessels": _picture(found.fixed.vessels.strength),
                "moving_vessels": _picture(found.moving.vessels.strength),
            },
            values={**asdict(evidence), "size": max(found.fixed.vessels.strength.shape)},
        )
        if self.selfcheck and found.confidence < _BELIEVED:
            met = f"{100 * evidence.share:.0f} % more of the vessels meet than by chance"
            return Registration.failed(f"no pose is convincing: at best {met}", shown)
        transform = Homography(found.native_pose)
        return Registration(transform, confidence=found.confidence, diagnostics=shown)


@METHODS.register("imed-fast")
@dataclass(kw_only=True)
class ImedFast(Imed):
    """`Imed` at half the size, with fewer candidates; the options are the same."""

    size: int = 256
    candidates: int = 20

    name: ClassVar[str] = "imed-fast"
    cells_across: ClassVar[int] = 32
    scale_step: ClassVar[float] = 1.15
    finalists: ClassVar[int] = 3
    last_steps: ClassVar[int] = 4
    retry: ClassVar[float] = 2.0


def _picture(strength: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (np.minimum(strength, 1) * 255).astype(np.uint8)
