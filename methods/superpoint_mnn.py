"""SuperPoint keypoints matched by mutual nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imedbench.core.registry import METHODS
from imedbench.methods.superpoint_pipeline import FoundPoints, SuperPointMethod

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register("superpoint-mnn")
@dataclass(kw_only=True, eq=False)
class SuperPointMutual(SuperPointMethod):
    """A match is two descriptors that are each other's nearest."""

    name = "superpoint-mnn"
    summary = "SuperPoint keypoints matched by mutual nearest neighbours"
    paper = "DeTone, Malisiewicz and Rabinovich, CVPR workshops 2018"

    def _match(self, moving: FoundPoints, fixed: FoundPoints) -> Tensor:
        from imedbench.methods.networks.keypoints import match_mutually

        return match_mutually(moving.keypoints, fixed.keypoints)
