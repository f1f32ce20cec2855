"""SuperPoint keypoints matched by SuperGlue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imedbench.core.registry import METHODS
from imedbench.methods import weight_sources
from imedbench.methods.superpoint_pipeline import FoundPoints, SuperPointMethod

if TYPE_CHECKING:
    from torch import Tensor

_OURS, _AUTHORS = 0.1, 0.2  # least probability of a match


@METHODS.register("superpoint-superglue")
@dataclass(kw_only=True, eq=False)
class SuperPointSuperGlue(SuperPointMethod):
    """Attention over the keypoints of both images decides what matches.

    Args:
        glue_weights: of the matcher, as for ``weights``; by default from the same source.
        match_threshold: least probability of a match; by default 0.1 with our weights, which was
            best on fields of training eyes, and the authors' 0.2 with others.
    """

    name = "superpoint-superglue"
    summary = "SuperPoint keypoints matched by SuperGlue"
    paper = "Sarlin, DeTone, Malisiewicz and Rabinovich, CVPR 2020"

    glue_weights: str = ""
    match_threshold: float | None = None

    def _networks(self) -> list[tuple[weight_sources.Network, str]]:
        glue = (weight_sources.SUPERGLUE, self.glue_weights or self.weights)
        return [*super()._networks(), glue]

    def prepare(self, device: str) -> None:
        """Load the weights of both networks."""
        from imedbench.methods.networks.checkpoints import superglue_state
        from imedbench.methods.networks.superglue import build

        super().prepare(device)
        origin = self.glue_weights or self.weights
        ours = weight_sources.describe(weight_sources.SUPERGLUE, origin).ours
        usual = _OURS if ours else _AUTHORS
        self._threshold = usual if self.match_threshold is None else self.match_threshold
        stored = weight_sources.read(weight_sources.SUPERGLUE, origin)
        sizes = stored.arguments or {"descriptor_dim": self._network.descriptor_dim}
        self._glue = build(**sizes)
        weight_sources.fill(self._glue, superglue_state(stored.tensors), origin)
        self._glue.to(device).eval()

    def _match(self, moving: FoundPoints, fixed: FoundPoints) -> Tensor:
        import torch

        from imedbench.methods.networks.superglue import mutual_matches

        assigned = self._glue(moving.keypoints, fixed.keypoints, moving.size, fixed.size)
        index = mutual_matches(assigned, self._threshold).index[0]
        mine = torch.nonzero(index >= 0)[:, 0]
        return torch.stack([mine, index[mine]], dim=1)
