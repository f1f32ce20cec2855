"""The learned matchers that kornia implements, with weights that others ship.

Nothing is downloaded: weights are a file that is named, one that an installed package brings, or
one that lies in torch's cache. `weight_files` says which packages bring them.
"""

# No `from __future__ import annotations`: the options are inherited.

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from imedbench.core.arrays import Points
from imedbench.core.registry import METHODS
from imedbench.core.stages import stage
from imedbench.methods import weight_files
from imedbench.methods.kornia_pipeline import KorniaMatcher, SparseMatcher, as_points

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register("xfeat")
@dataclass(kw_only=True, eq=False)
class XFeatNeighbours(SparseMatcher):
    """XFeat keypoints matched by mutual nearest neighbours."""

    name = "xfeat"
    summary = "XFeat keypoints matched by mutual nearest neighbours"
    paper = "Potje, Cadar, Araujo, Martins and Nascimento, CVPR 2024"
    files: ClassVar[tuple[weight_files.WeightFile, ...]] = (weight_files.XFEAT,)

    def _network(self, states: "list[dict[str, Any]]") -> Any:
        from kornia.feature import XFeat

        net = XFeat(top_k=self.keypoints)
        weight_files.fill(net.net, states[0])
        return net.eval().to(self._device)

    def _detect(self, plane: "Tensor") -> "tuple[Tensor, Tensor]":
        found = self._net.detectAndCompute(plane)[0]
        return found["keypoints"], found["descriptors"]


@METHODS.register("xfeat-lighterglue")
@dataclass(kw_only=True, eq=False)
class XFeatLighterGlue(XFeatNeighbours):
    """XFeat keypoints matched by LighterGlue."""

    name = "xfeat-lighterglue"
    summary = "XFeat keypoints matched by LighterGlue"
    files = (weight_files.XFEAT, weight_files.LIGHTERGLUE)
    glue_features = "xfeat"


@METHODS.register("aliked-lightglue")
@dataclass(kw_only=True, eq=False)
class AlikedLightGlue(SparseMatcher):
    """ALIKED keypoints (n16) matched by LightGlue."""

    name = "aliked-lightglue"
    summary = "ALIKED keypoints matched by LightGlue"
    paper = "Zhao et al., TIM 72, 2023; Lindenberger, Sarlin and Pollefeys, ICCV 2023"
    files = (weight_files.ALIKED, weight_files.LIGHTGLUE_ALIKED)
    glue_features = "aliked"
    architecture: ClassVar[str] = "aliked-n16"

    def _network(self, states: "list[dict[str, Any]]") -> Any:
        from kornia.feature import ALIKED

        net = ALIKED(self.architecture, max_num_keypoints=self.keypoints, detection_threshold=0.0)
        return self._filled(net, states[0])

    def _detect(self, plane: "Tensor") -> "tuple[Tensor, Tensor]":
        found = self._net(plane.expand(-1, 3, -1, -1))[0]
        return found.keypoints, found.descriptors


@METHODS.register("aliked-rot-lightglue")
@dataclass(kw_only=True, eq=False)
class AlikedRotLightGlue(AlikedLightGlue):
    """ALIKED keypoints trained with rotations (n16rot) matched by LightGlue."""

    name = "aliked-rot-lightglue"
    summary = "ALIKED keypoints trained with rotations, matched by LightGlue"
    files = (weight_files.ALIKED_ROT, weight_files.LIGHTGLUE_ALIKED)
    architecture = "aliked-n16rot"


@METHODS.register("disk-lightglue")
@dataclass(kw_only=True, eq=False)
class DiskLightGlue(SparseMatcher):
    """DISK keypoints matched by LightGlue."""

    name = "disk-lightglue"
    summary = "DISK keypoints matched by LightGlue"
    paper = "Tyszkiewicz, Fua and Trulls, NeurIPS 2020; Lindenberger et al., ICCV 2023"
    files = (weight_files.DISK, weight_files.LIGHTGLUE_DISK)
    glue_features = "disk"

    def _network(self, states: "list[dict[str, Any]]") -> Any:
        from kornia.feature import DISK

        return self._filled(DISK(), states[0].get("extractor", states[0]))

    def _detect(self, plane: "Tensor") -> "tuple[Tensor, Tensor]":
        colour = plane.expand(-1, 3, -1, -1)
        found = self._net(colour, n=self.keypoints, pad_if_not_divisible=True)[0]
        return found.keypoints, found.descriptors


@METHODS.register("superpoint-lightglue")
@dataclass(kw_only=True, eq=False)
class SuperPointLightGlue(SparseMatcher):
    """The authors' SuperPoint keypoints matched by LightGlue, as EyeLiner does."""

    name = "superpoint-lightglue"
    summary = "SuperPoint keypoints matched by LightGlue"
    paper = "DeTone et al., CVPRW 2018; Lindenberger, Sarlin and Pollefeys, ICCV 2023"
    files = (weight_files.SUPERPOINT, weight_files.LIGHTGLUE_SUPERPOINT)
    glue_features = "superpoint"

    def _network(self, states: "list[dict[str, Any]]") -> Any:
        from imedbench.methods.networks.checkpoints import superpoint_state
        from imedbench.methods.networks.superpoint import SuperPoint

        return self._filled(SuperPoint(), superpoint_state(states[0]))

    def _detect(self, plane: "Tensor") -> "tuple[Tensor, Tensor]":
        from imedbench.methods.networks.keypoints import Detection

        # LightGlue's authors set this threshold.
        detection = Detection(max_keypoints=self.keypoints, threshold=0.0005)
        found = self._net.detect(plane, detection)
        return found.points[0][found.valid[0]], found.descriptors[0][found.valid[0]]


@METHODS.register("loftr")
@dataclass(kw_only=True, eq=False)
class Loftr(KorniaMatcher):
    """LoFTR: matches without keypoints, from coarse to fine."""

    name = "loftr"
    summary = "detector-free matching by transformers"
    paper = "Sun, Shen, Wang, Bao and Zhou, CVPR 2021"
    files = (weight_files.LOFTR,)

    def _build(self, states: "list[dict[str, Any]]") -> None:
        from kornia.feature import LoFTR

        state = states[0].get("state_dict", states[0])
        self._net = self._filled(LoFTR(pretrained=None), state)

    def _match(self, planes: "list[Tensor]") -> tuple[Points, Points]:
        from torch.nn import functional as F

        # Sides must be multiples of eight.
        even = [F.pad(p, (0, -p.shape[3] % 8, 0, -p.shape[2] % 8)) for p in planes]
        with stage("matching"):
            found = self._net({"image0": even[0], "image1": even[1]})
            order = found["confidence"].argsort(descending=True)[: 2 * self.keypoints]
        return as_points(found["keypoints0"][order]), as_points(found["keypoints1"][order])
