"""The registration pipeline, top to bottom.

Both images are brought to one look and their vessels found. Every rotation, scale and shift is
tried coarsely, the best candidates are aligned with the vessels' centre lines, and the winner must
meet more vessels than chance would. Otherwise it tries again at another size and over all
rotations; if nothing convinces, it says that it failed.

`frame` and `segmenter` (`maps`) → `lines` → `search` → `shortlist` → `refine` → `polish` →
`selfcheck`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from imedbench.core.registry import METHODS
from imedbench.core.stages import stage
from imedbench.core.transforms import Homography
from imedbench.core.types import Diagnostics, Image, MethodInfo, Registration
from imedbench.methods import weights

if TYPE_CHECKING:
    from imedbench.methods.imed.frame import View
    from imedbench.methods.imed.maps import VesselMap
    from imedbench.methods.imed.search import Field, SearchRange
    from imedbench.methods.imed.segmenter import Segmenter
    from imedbench.methods.imed.selfcheck import Evidence
    from imedbench.methods.imed.targets import Targets

Segmentation = Literal["unet", "oriented", "ridge"]
Refinement = Literal["homography", "affine", "similarity", "off"]
Rotation = Literal["auto", "narrow", "all"]
Matrix = NDArray[np.float64]

VESSEL_WEIGHTS = "vessels"
_FEWEST_POINTS = 30
_MOST_POINTS = 4500
_ASKING = 2000  # points of each image in the last steps
_NARROW_DEG = 40.0  # most pairs are turned less
_SURE = 0.9  # confidence at which the search ends
_BELIEVED = 0.5  # confidence below which an answer is withheld


@dataclass(frozen=True, eq=False)
class _Prepared:
    """One image, ready to be registered."""

    view: View
    vessels: VesselMap
    field: Field
    targets: Targets


@dataclass(frozen=True, eq=False)
class _Found:
    """The outcome of one attempt; the pose is in the working frames of the two sides."""

    fixed: _Prepared
    moving: _Prepared
    pose: Matrix
    evidence: Evidence
    confidence: float


@dataclass(frozen=True)
class _Effort:
    """What separates the thorough form from the fast one, beside the size.

    Args:
        cells_across: see `SearchRange`.
        scale_step: see `SearchRange`.
        finalists: how many poses are refined to the end.
        last_steps: of Gauss–Newton with the homography.
        retry: at how much of the size the second attempt is made.
    """

    cells_across: int
    scale_step: float
    finalists: int
    last_steps: int
    retry: float


@METHODS.register("imed")
class Imed:
    """Vessel maps, exhaustive search, truncated chamfer refinement, honest self-check.

    Args:
        size: longer side, px, to which larger images are shrunk.
        segmentation: how vessels are found: by the network, or by filters alone.
        rotation: ``narrow`` searches to ±40°, ``all`` the full circle; ``auto`` begins narrow and
            goes on, where that finds nothing sure, to another size and to the full circle.
        candidates: how many poses of the search are looked at closely.
        refine: the most general transform that the refinement may reach; ``off`` returns the
            best similarity of the search.
        polish: align the maps below a pixel at the end.
        selfcheck: refuse transforms that meet too few vessels.
    """

    name = "imed"
    _effort = _Effort(cells_across=42, scale_step=1.12, finalists=2, last_steps=6, retry=0.5)

    def __init__(
        self,
        *,
        size: int = 512,
        segmentation: Segmentation = "unet",
        rotation: Rotation = "auto",
        candidates: int = 48,
        refine: Refinement = "homography",
        polish: bool = True,
        selfcheck: bool = True,
    ) -> None:
        self.size = size
        self.segmentation: Segmentation = segmentation
        self.rotation = rotation
        self.candidates = candidates
        self.refine = refine
        self.polish = polish
        self.selfcheck = selfcheck
        self._segmenter: Segmenter | None = None

    @property
    def info(self) -> MethodInfo:
        """What the method is, with its options applied."""
        plain = MethodInfo(
            name=self.name,
            summary="vessel maps, exhaustive search, chamfer refinement, self-check",
            family="similarity" if self.refine == "off" else self.refine,
        )
        if self.segmentation != "unet":
            return plain
        card = weights.read_card(VESSEL_WEIGHTS)
        return replace(
            plain,
            weights_licence=card.licence,
            weights=card.sha256[:16],
            trained_on=card.trained_on,
            uses_cuda=True,
        )

    def prepare(self, device: str) -> None:
        """Load the network."""
        from imedbench.methods.imed.segmenter import Segmenter

        self._segmenter = Segmenter(self.segmentation, VESSEL_WEIGHTS, device)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Find the transform that brings ``moving`` onto ``fixed``."""
        best: _Found | None = None
        for size, span in self._plan():
            sides = self._prepared(fixed, size), self._prepared(moving, size)
            if min(len(side.field.lines) for side in sides) < _FEWEST_POINTS:
                continue
            found = self._attempt(*sides, span)
            best = found if best is None or found.confidence > best.confidence else best
            if best.confidence >= _SURE:
                break
        if best is None:
            return Registration.failed("hardly any vessels in one of the images")
        return self._answer(best)

    def _plan(self) -> list[tuple[int, SearchRange]]:
        """Sizes and poses to try in turn until one is sure."""
        from imedbench.methods.imed.search import SearchRange

        everything = SearchRange(
            cells_across=self._effort.cells_across, scale_step=self._effort.scale_step
        )
        narrow = replace(everything, rotation_deg=_NARROW_DEG)
        if self.rotation != "auto":
            return [(self.size, narrow if self.rotation == "narrow" else everything)]
        # Smaller images have less noise, larger ones more faint vessels: what fails may go there.
        return [
            (self.size, narrow),
            (round(self.size * self._effort.retry), narrow),
            (self.size, everything),
        ]

    def _prepared(self, image: Image, size: int) -> _Prepared:
        from imedbench.methods.imed.frame import working_view
        from imedbench.methods.imed.lines import centre_lines
        from imedbench.methods.imed.search import Field
        from imedbench.methods.imed.segmenter import Segmenter
        from imedbench.methods.imed.targets import build_targets

        if self._segmenter is None:
            self._segmenter = Segmenter(self.segmentation, VESSEL_WEIGHTS)
        with stage("normalise"):
            view = working_view(image, size)
        with stage("maps"):
            vessels = self._segmenter(view)
        with stage("lines"):
            lines = centre_lines(vessels, _MOST_POINTS)
            return _Prepared(view, vessels, Field(lines, view.fov), build_targets(lines, view.fov))

    def _attempt(self, fixed: _Prepared, moving: _Prepared, span: SearchRange) -> _Found:
        """Search, refine, polish and judge in one working frame."""
        from imedbench.methods.imed import selfcheck
        from imedbench.methods.imed.polish import polish
        from imedbench.methods.imed.search import search

        with stage("search"):
            poses = search(fixed.field, moving.field, span, self.candidates).matrices
        with stage("refine"):
            poses = self._refined(fixed.targets, moving.targets, poses)
            judged = [selfcheck.gather(fixed.targets, moving.targets, pose) for pose in poses]
            best = int(np.argmax([evidence.surprise for evidence in judged]))
        pose = poses[best]
        if self.polish and self.refine == "homography":
            with stage("polish"):
                pose = polish(fixed.vessels, moving.vessels, pose)
        return _Found(fixed, moving, pose, judged[best], selfcheck.confidence(judged[best]))

    def _refined(self, fixed: Targets, moving: Targets, poses: Matrix) -> Matrix:
        from imedbench.methods.imed.refine import AFFINE, HOMOGRAPHY, refine
        from imedbench.methods.imed.shortlist import Round, shortlist

        effort = self._effort
        rounds = (Round(200, (24, 8), 4, 6.0, 16), Round(500, (10, 4), 5, 3.0, effort.finalists))
        if self.refine == "off":
            return poses[:1]
        poses = shortlist(fixed, moving, poses, rounds)
        if self.refine != "similarity":
            poses = refine(fixed, moving, poses, np.geomspace(6, 3, 4), AFFINE, _ASKING)
        if self.refine == "homography":
            poses = refine(
                fixed, moving, poses, np.geomspace(5, 3, effort.last_steps), HOMOGRAPHY, _ASKING
            )
        return poses

    def _answer(self, found: _Found) -> Registration:
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
        to_fixed = np.linalg.inv(found.fixed.view.work_from_native)
        native = to_fixed @ found.pose @ found.moving.view.work_from_native
        return Registration(Homography(native), confidence=found.confidence, diagnostics=shown)


@METHODS.register("imed-fast")
class ImedFast(Imed):
    """`Imed` at half the size, with fewer candidates; the options are the same."""

    name = "imed-fast"
    _effort = _Effort(cells_across=32, scale_step=1.15, finalists=1, last_steps=4, retry=2.0)

    def __init__(
        self,
        *,
        size: int = 256,
        segmentation: Segmentation = "unet",
        rotation: Rotation = "auto",
        candidates: int = 20,
        refine: Refinement = "homography",
        polish: bool = True,
        selfcheck: bool = True,
    ) -> None:
        super().__init__(
            size=size,
            segmentation=segmentation,
            rotation=rotation,
            candidates=candidates,
            refine=refine,
            polish=polish,
            selfcheck=selfcheck,
        )


def _picture(strength: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (np.minimum(strength, 1) * 255).astype(np.uint8)
