"""The registration pipeline, top to bottom.

Both images are brought to one look and their vessels found. Every rotation, scale and shift is
tried coarsely, the best candidates are aligned with the vessels' centre lines, and the winner must
meet more vessels than chance would, and clearly more than the next best answer. Otherwise it tries
again over all rotations and at another size; if nothing convinces, it says that it failed. What
convinces is polished by the maps where its lines are unsure, and bent where the eye is curved.

`attempt` is one such try, top to bottom: images in their frames (`methods.working_images`), maps of
their vessels (`methods.vessel_maps`) and centre `lines`, `search` on `grids`, `refine` on the
`pairing` of vessel points, `selfcheck`; then come `polish` and `bend`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from imedbench.core.arrays import Pixels, Plane
from imedbench.core.options import Positive, Side
from imedbench.core.registry import METHODS
from imedbench.core.stages import stage
from imedbench.core.transforms import Homography, Transform
from imedbench.core.types import Diagnostics, Image, MethodInfo, Registration
from imedbench.methods import weights
from imedbench.methods.vessel import Network, Segmentation

if TYPE_CHECKING:
    from imedbench.methods.imed.attempt import Attempt, Budget
    from imedbench.methods.imed.search import SearchRange

Refinement = Literal["curved", "homography", "affine", "similarity", "off"]
Rotation = Literal["auto", "narrow", "all"]
Runtime = Literal["torch", "openvino"]

_MIN_POINTS = 30  # of either image's centre lines
_NARROW = 40.0  # degrees; most pairs are turned less
_SURE = 0.95  # trust at which the search ends
_MIN_TRUST = 0.5  # below which an answer is withheld


@METHODS.register("imed")
@dataclass(kw_only=True)
class Imed:
    """Vessel maps, exhaustive search, truncated chamfer refinement, honest self-check.

    Args:
        size: longer side, px, to which larger images are shrunk, and pairs of smaller ones
            enlarged; where the field of view is small it stands for the image.
        segmentation: how vessels are found: by the network, or by filters alone.
        rotation: ``narrow`` searches to ±40°, ``all`` the full circle; ``auto`` begins narrow and
            goes on, where that finds nothing sure, to the full circle and to another size.
        candidates: how many poses of the search are looked at closely.
        refine: the most general transform that the refinement may reach; ``curved`` is a
            homography, with a smooth bend where the vessels leave no doubt of one; ``off`` returns
            the best of the proposals as it is.
        selfcheck: refuse transforms that meet too few vessels.
        runtime: what runs the network: ``torch``, or ``openvino``, rounded to 8 bits, on the
            processor, with the extra ``fast``.
        network: weights of the network: the small one, which finds vessels and how they run, or
            the large one from which it has learned, with filters after it; ``vessel+NAME`` uses
            that.
    """

    size: Side = 512
    segmentation: Segmentation = "unet"
    rotation: Rotation = "auto"
    candidates: Positive = 48
    refine: Refinement = "curved"
    selfcheck: bool = True
    runtime: Runtime = "torch"
    network: Network = "vessel-lines"

    name: ClassVar[str] = "imed"
    # What separates the thorough form from the fast one, beside the size and the candidates:
    cells_across: ClassVar[int] = 42  # of the search's grid
    scale_step: ClassVar[float] = 1.12  # of the search
    finalists: ClassVar[int] = 4  # different answers refined to the end
    retry: ClassVar[float] = 0.5  # at how much of the size the last attempt is made

    def __post_init__(self) -> None:
        if self.runtime == "openvino":
            from imedbench.methods.vessel_openvino import require_openvino

            require_openvino()

    @property
    def info(self) -> MethodInfo:
        """What the method is, with its options applied."""
        cards = [weights.read_card(self.network)] if self.segmentation == "unet" else []
        return MethodInfo(
            name=self.name,
            summary="vessel maps, exhaustive search, chamfer refinement, self-check",
            family={"off": "similarity", "curved": "dense"}.get(self.refine, self.refine),
            weights_licence=cards[0].licence if cards else "none",
            weights=_weights(cards[0], self.runtime) if cards else "",
            trained_on=cards[0].trained_on if cards else (),
            training_images=cards[0].training_images if cards else (),
            uses_cuda=bool(cards) and self.runtime == "torch",
        )

    def prepare(self, device: str) -> None:
        """Load the network."""
        from imedbench.methods.vessel_maps import Segmenter

        self._segmenter = Segmenter(self.segmentation, device, self.network, self.runtime)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Find the transform that brings ``moving`` onto ``fixed``."""
        from imedbench.methods.imed.attempt import finish_at

        best: Attempt | None = None
        largest: Attempt | None = None
        for tried in self.attempts(fixed, moving):
            if largest is None or tried.size > largest.size:
                largest = tried
            if best is None or tried.evidence.trust > best.evidence.trust:
                best = tried
            if best.evidence.trust >= _SURE:
                break
        if best is None or largest is None:
            return Registration.failed("hardly any vessels in one of the images")
        if best.size < largest.size and self.refine != "off":
            best = finish_at(best, largest.fixed, largest.moving, self._budget)
        return self._answer(best)

    @property
    def _budget(self) -> Budget:
        from imedbench.methods.imed.attempt import Budget

        return Budget(self.refine, self.candidates, self.finalists)

    def attempts(self, fixed: Image, moving: Image) -> Iterator[Attempt]:
        """Try one plan after the other, for as long as the caller asks for more.

        Yields:
            What each attempt found; nothing for one that sees hardly any vessels.
        """
        from imedbench.methods.imed.attempt import Prepared, attempt, prepare
        from imedbench.methods.working_images import working_scales

        known: dict[tuple[float, float], tuple[Prepared, Prepared]] = {}
        for size, span in self._plan():
            scales = working_scales(fixed, moving, size)
            if scales not in known:
                known[scales] = (
                    prepare(fixed, scales[0], self._segmenter),
                    prepare(moving, scales[1], self._segmenter),
                )
            still, moved = known[scales]
            if min(len(still.targets.lines), len(moved.targets.lines)) >= _MIN_POINTS:
                yield attempt(still, moved, span, self._budget)

    def _plan(self) -> list[tuple[int, SearchRange]]:
        """Sizes and poses to try in turn until one is sure."""
        from imedbench.methods.imed.search import SearchRange

        everything = SearchRange(cells_across=self.cells_across, scale_step=self.scale_step)
        narrow = replace(everything, max_rotation=_NARROW)
        if self.rotation != "auto":
            return [(self.size, narrow if self.rotation == "narrow" else everything)]
        # Smaller images have less noise, larger ones more faint vessels: what fails may go there.
        # Last, since it takes new maps: on training eyes one of 27 retries needed it.
        return [
            (self.size, narrow),
            (self.size, everything),
            (round(self.size * self.retry), narrow),
        ]

    def _answer(self, best: Attempt) -> Registration:
        evidence = best.evidence
        if self.selfcheck and evidence.trust < _MIN_TRUST:
            met = (
                f"{100 * evidence.excess_match_rate:.0f} % more of the vessels meet than by chance"
            )
            return Registration.failed(f"no pose is convincing: at best {met}", _shown(best, 0.0))
        transform, bend = self._transform(best)
        shown = _shown(best, bend)
        return Registration(transform, confidence=evidence.confidence, diagnostics=shown)

    def _transform(self, best: Attempt) -> tuple[Transform, float]:
        """The pose, bent where the vessels leave no doubt, and the size of the bend in px."""
        from imedbench.methods.imed.bend import bent, find_bend
        from imedbench.methods.imed.polish import polish

        if self.refine in ("curved", "homography"):
            with stage("polish"):
                best = polish(best)
        if self.refine != "curved":
            return Homography(best.native_pose), 0.0
        with stage("bend"):
            bend = find_bend(best.fixed.targets, best.moving.targets, best.pose)
            if bend is None:
                return Homography(best.native_pose), 0.0
            return bent(best.native_pose, best.fixed.work_from_native, bend), bend.size


@METHODS.register("imed-fast")
@dataclass(kw_only=True)
class ImedFast(Imed):
    """`Imed` at half the size, with fewer candidates; the options are the same."""

    size: Side = 256
    candidates: Positive = 20

    name: ClassVar[str] = "imed-fast"
    cells_across: ClassVar[int] = 32
    scale_step: ClassVar[float] = 1.15
    finalists: ClassVar[int] = 3
    retry: ClassVar[float] = 2.0


def _shown(best: Attempt, bend: float) -> Diagnostics:
    maps = {"fixed": best.fixed.vessels.strength, "moving": best.moving.vessels.strength}
    return Diagnostics(
        images={f"{side}_vessels": _picture(strength) for side, strength in maps.items()},
        values={
            **asdict(best.evidence),
            "expected_error": best.evidence.expected_error * best.native_side,
            "size": max(maps["fixed"].shape),
            "bend": bend,
        },
    )


def _picture(strength: Plane) -> Pixels:
    return (np.minimum(strength, 1) * 255).astype(np.uint8)


def _weights(card: weights.Card, runtime: Runtime) -> str:
    """What tells the numbers of the network from any others."""
    return card.sha256[:16] + ("" if runtime == "torch" else "-int8")
