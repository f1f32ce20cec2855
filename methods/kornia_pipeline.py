"""What the matchers of kornia share: options, weights, keypoints and matches, the answer."""

# No `from __future__ import annotations`: subclasses inherit these options.

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from imedbench.core.arrays import Plane, Points
from imedbench.core.resize import resize_points
from imedbench.core.stages import stage
from imedbench.core.types import Image, MethodInfo, Registration
from imedbench.methods import weight_files
from imedbench.methods.estimators import Model, estimator_name, registration_from_matches
from imedbench.methods.licences import ask_licence
from imedbench.methods.superpoint_pipeline import shown

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Features:
    """Keypoints of one image.

    Args:
        points: N×2 px.
        descriptors: N×D.
        size: width and height of the image, px.
    """

    points: "Tensor"
    descriptors: "Tensor"
    size: tuple[int, int]


@dataclass(kw_only=True, eq=False)
class KorniaMatcher(ABC):
    """A matcher of kornia; its fields are its options.

    Args:
        weights: path of the extractor's weights; empty for those of an installed package.
        matcher_weights: the same for the matcher's.
        keypoints: at most this many an image.
        model: transform that the robust estimator fits.
        size: px; images are shown to the network with this longer side. 0 leaves them as they are.
        accept_license: accept the terms of non-commercial weights, once and for all.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    files: ClassVar[tuple[weight_files.WeightFile, ...]]
    declared: ClassVar[MethodInfo]

    weights: str = ""
    matcher_weights: str = ""
    keypoints: int = 1024
    model: Model = "homography"
    size: int = 512
    accept_license: bool = False

    def __post_init__(self) -> None:
        named = dict(zip(self.files, (self.weights, self.matcher_weights), strict=False))
        self._found = [file.find(named.get(file, "")) for file in self.files]
        for file in self.files:
            ask_licence(self.name, file.licence, self.accept_license)
        self.info = replace(
            self.declared,
            family=self.model,
            weights=" ".join(found.revision for found in self._found),
            estimator=estimator_name(self.model),
        )

    def __init_subclass__(cls) -> None:
        """Say what the method is, also where its weights are not there."""
        if "name" in vars(cls):
            files = cls.files
            cls.declared = MethodInfo(
                name=cls.name,
                summary=cls.summary,
                family="homography",
                paper=cls.paper,
                weights_licence=" AND ".join(dict.fromkeys(file.licence for file in files)),
                trained_on=tuple(dict.fromkeys(n for file in files for n in file.trained_on)),
                uses_cuda=True,
                extra=", ".join(dict.fromkeys(file.package or "a weight file" for file in files)),
            )

    def prepare(self, device: str) -> None:
        """Load the weights."""
        self._device = device
        self._build([found.load() for found in self._found])

    @abstractmethod
    def _build(self, states: "list[dict[str, Any]]") -> None:
        """Make the networks of the weights, in the order of ``files``."""

    def _filled(self, net: Any, state: "dict[str, Any]") -> Any:
        """Fill a network with weights and make it ready for use."""
        weight_files.fill(net, state)
        return net.eval().to(self._device)

    @abstractmethod
    def _match(self, planes: "list[Tensor]") -> tuple[Points, Points]:
        """Match two images, 1×1×H×W in [0, 1] each: N×2 px of either, row by row partners."""

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Match both images and fit a transform to the matches."""
        import torch

        planes = [shown(image, self.size, normalised=False)[0] for image in (moving, fixed)]
        with torch.inference_mode():
            moving_points, fixed_points = self._match([self._tensor(plane) for plane in planes])
        with stage("estimate"):
            moving_size, fixed_size = ((plane.shape[1], plane.shape[0]) for plane in planes)
            return registration_from_matches(
                resize_points(moving_points, moving_size, moving.size),
                resize_points(fixed_points, fixed_size, fixed.size),
                self.model,
            )

    def _tensor(self, plane: Plane) -> "Tensor":
        import torch

        return torch.from_numpy(np.ascontiguousarray(plane))[None, None].to(self._device)


class SparseMatcher(KorniaMatcher):
    """Keypoints of one network, matched by LightGlue or as mutual nearest neighbours."""

    glue_features: ClassVar[str] = ""  # LightGlue's name of the descriptors; empty for neighbours

    @abstractmethod
    def _network(self, states: "list[dict[str, Any]]") -> Any:
        """Make the network, or the networks, that find keypoints, of the first of the weights."""

    @abstractmethod
    def _detect(self, plane: "Tensor") -> "tuple[Tensor, Tensor]":
        """Find points N×2 and descriptors N×D in an image of 1×1×H×W."""

    def _build(self, states: "list[dict[str, Any]]") -> None:
        self._net = self._network(states)
        if self.glue_features:
            self._glue = light_glue(self.glue_features, states[-1]).to(self._device)

    def _match(self, planes: "list[Tensor]") -> tuple[Points, Points]:
        from kornia.feature import match_mnn

        with stage("keypoints"):
            first, second = (
                Features(*self._detect(plane), (plane.shape[3], plane.shape[2])) for plane in planes
            )
        with stage("matching"):
            if min(len(first.points), len(second.points)) == 0:
                return np.zeros((0, 2)), np.zeros((0, 2))
            if self.glue_features:
                pairs = self._glue({"image0": _glued(first), "image1": _glued(second)})
                pairs = pairs["matches"][0]
            else:
                similarity = first.descriptors @ second.descriptors.T
                pairs = match_mnn(first.descriptors, second.descriptors, -similarity)[1]
        mine, theirs = pairs.T
        return as_points(first.points[mine]), as_points(second.points[theirs])


def light_glue(features: str, state: "dict[str, Any]") -> "nn.Module":
    """Build kornia's LightGlue for a kind of features and fill it, without its download."""
    from kornia.feature import LightGlue

    no_download: Any = None
    net: nn.Module = LightGlue(no_download, **{**LightGlue.features[features], "weights": None})
    filled = {}
    for name, value in state.items():
        name = name.removeprefix("matcher.")
        for kind in ("self_attn", "cross_attn"):
            head, dot, rest = name.partition(".")
            if head == kind and dot:
                layer, _, rest = rest.partition(".")
                name = f"transformers.{layer}.{kind}.{rest}"
        filled[name] = value
    known = net.state_dict()
    weight_files.fill(net, {k: v for k, v in filled.items() if k in known}, but="confidence")
    return net.eval()


def _glued(found: Features) -> "dict[str, Tensor]":
    import torch

    size = torch.tensor([found.size], device=found.points.device)
    return {
        "keypoints": found.points[None],
        "descriptors": found.descriptors[None],
        "image_size": size,
    }


def as_points(points: "Tensor") -> Points:
    """Turn a tensor of N×2 px into an array."""
    return np.asarray(points.double().cpu().numpy(), np.float64)
