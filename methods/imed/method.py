"""The registration pipeline, top to bottom.

Both images are brought to one look and their vessels found. Every rotation, scale and shift is
tried coarsely, the best candidates are aligned with the vessels' centre lines, and the winner must
meet more vessels than chance would: otherwise the search widens to all rotations, and if that does
not help the method says that it failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from imedbench.core.registry import METHODS
from imedbench.core.stages import stage
from imedbench.core.transforms import Homography
from imedbench.core.types import Diagnostics, Image, MethodInfo, Registration

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

_FEWEST_POINTS = 30
_SURE = 0.9  # confidence above which the narrow search is not doubted


@dataclass(frozen=True, eq=False)
class _Prepared:
    """One image, ready to be registered."""

    view: View
    vessels: VesselMap
    field: Field
    targets: Targets


@METHODS.register("imed")
class Imed:
    """Vessel maps, exhaustive search, truncated chamfer refinement, honest self-check.

    Args:
        size: longer side, px, to which larger images are shrunk.
        segmentation: how vessels are found: by the network, or by filters alone.
        rotation: ``narrow`` searches to ±40°, ``all`` the full circle, ``auto`` the full circle
            where the narrow search finds nothing sure.
        candidates: how many poses of the search are looked at closely.
        refine: the most general transform that the refinement may reach; ``off`` returns the
            best similarity of the search.
        polish: align the maps below a pixel at the end.
        selfcheck: refuse transforms that meet too few vessels.
    """

    name = "imed"

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
        self.most_points = 4500
        self._segmenter: Segmenter | None = None

    @property
    def info(self) -> MethodInfo:
        """What the method is, with its options applied."""
        learned = self.segmentation == "unet"
        return MethodInfo(
            name=self.name,
            summary="vessel maps, exhaustive search, chamfer refinement, self-check",
            family="similarity" if self.refine == "off" else self.refine,
            weights_licence="Apache-2.0" if learned else "none",
            trained_on=("octa500/train", "drive/train", "chasedb1/train") if learned else (),
            uses_cuda=learned,
        )

    def prepare(self, device: str) -> None:
        """Load the network."""
        from imedbench.methods.imed.segmenter import Segmenter

        self._segmenter = Segmenter(self.segmentation, device)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Find the transform that brings ``moving`` onto ``fixed``."""
        still, other = self._prepared(fixed), self._prepared(moving)
        for name, side in (("fixed", still), ("moving", other)):
            if len(side.field.lines) < _FEWEST_POINTS:
                return Registration.failed(f"hardly any vessels in the {name} image")
        pose, evidence, sureness = self._best_pose(still, other)
        if self.polish and self.refine == "homography":
            with stage("polish"):
                pose = _polished(still, other, pose)
        return self._answer(still, other, pose, evidence, sureness)

    def _prepared(self, image: Image) -> _Prepared:
        from imedbench.methods.imed.frame import working_view
        from imedbench.methods.imed.lines import centre_lines
        from imedbench.methods.imed.search import Field
        from imedbench.methods.imed.targets import build_targets

        if self._segmenter is None:
            self.prepare("cpu")
        assert self._segmenter is not None
        with stage("normalise"):
            view = working_view(image, self.size)
        with stage("maps"):
            vessels = self._segmenter(view)
        with stage("lines"):
            lines = centre_lines(vessels, self.most_points)
            return _Prepared(view, vessels, Field(lines, view.fov), build_targets(lines, view.fov))

    def _best_pose(self, fixed: _Prepared, moving: _Prepared) -> tuple[Matrix, Evidence, float]:
        from imedbench.methods.imed.search import SearchRange

        narrow, wide = SearchRange(rotation_deg=40), SearchRange(rotation_deg=180)
        found = self._attempt(fixed, moving, wide if self.rotation == "all" else narrow)
        if self.rotation == "auto" and found[2] < _SURE:
            found = max(found, self._attempt(fixed, moving, wide), key=lambda each: each[2])
        return found

    def _attempt(
        self, fixed: _Prepared, moving: _Prepared, span: SearchRange
    ) -> tuple[Matrix, Evidence, float]:
        from imedbench.methods.imed import selfcheck
        from imedbench.methods.imed.search import search

        with stage("search"):
            poses = search(fixed.field, moving.field, span, self.candidates).matrices
        with stage("refine"):
            best = self._refined(fixed.targets, moving.targets, poses)
            judged = [selfcheck.gather(fixed.targets, moving.targets, p, _ALL) for p in best]
        pose, evidence = max(zip(best, judged, strict=True), key=lambda each: each[1].surprise)
        return pose, evidence, selfcheck.confidence(evidence)

    def _refined(self, fixed: Targets, moving: Targets, poses: Matrix) -> Matrix:
        from imedbench.methods.imed.refine import AFFINE, HOMOGRAPHY, refine
        from imedbench.methods.imed.shortlist import Round, shortlist

        rounds = (Round(200, (24, 8), 4, 6.0, 16), Round(500, (10, 4), 5, 3.0, 2))
        if self.refine == "off":
            return shortlist(fixed, moving, poses, rounds[:0])[:1]
        poses = shortlist(fixed, moving, poses, rounds)
        if self.refine != "similarity":
            poses = refine(fixed, moving, poses, np.geomspace(6, 3, 4), AFFINE, _ASKING)
        if self.refine == "homography":
            poses = refine(fixed, moving, poses, np.geomspace(5, 3, 6), HOMOGRAPHY, _ASKING)
        return poses

    def _answer(
        self,
        fixed: _Prepared,
        moving: _Prepared,
        pose: Matrix,
        evidence: Evidence,
        sureness: float,
    ) -> Registration:
        native = np.linalg.inv(fixed.view.work_from_native) @ pose @ moving.view.work_from_native
        shown = Diagnostics(
            images={
                "fixed_vessels": _picture(fixed.vessels.strength),
                "moving_vessels": _picture(moving.vessels.strength),
            },
            values={
                "share": evidence.share,
                "surprise": evidence.surprise,
                "overlap": evidence.overlap,
                "sureness": sureness,
            },
        )
        if self.selfcheck and sureness < 0.5:
            met = f"{100 * evidence.share:.0f} % more vessels meet than by chance"
            return Registration.failed(f"no pose is convincing: {met}", shown)
        return Registration(Homography(native), confidence=sureness, diagnostics=shown)


_ASKING = 2000
_ALL = 5000


def _polished(fixed: _Prepared, moving: _Prepared, pose: Matrix) -> Matrix:
    from imedbench.methods.imed.polish import polish

    return polish(fixed.vessels, moving.vessels, pose)


def _picture(strength: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (np.minimum(strength, 1) * 255).astype(np.uint8)
