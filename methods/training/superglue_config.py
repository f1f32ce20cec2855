"""What a training of SuperGlue can be set to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from imedbench.methods.networks.superglue import SuperGlueConfig
from imedbench.methods.training.aligned_eyes import Motion
from imedbench.methods.training.config import TrainingConfig
from imedbench.methods.training.keypoint_views import ViewPlan


@dataclass(frozen=True, kw_only=True)
class SuperGlueTraining(TrainingConfig):
    """Settings of the SuperGlue training.

    Args:
        superpoint: weight file whose keypoints are matched; a shipped name or a path without its
            ending.
        width: features inside the network.
        encoder_sizes: hidden layers of the position encoder.
        layers: pairs of self- and cross-attention.
        heads: attention heads.
        start: weights (``FOLDER/NAME``) to start from; empty to start as nearest neighbours.
        full: the paper's size instead, 256 features and 9 pairs of layers.
        sinkhorn_iterations: of the optimal transport.
        descriptor_weight: of the descriptors' own cosine beside what attention makes of them.
        views_folder: where the views' keypoints are kept; empty to find them at every start.
        groups: of each data folder, how many eyes are drawn in an orientation of their own; a
            single number is for all.
        shares: of each data folder among the pairs; empty for that of its groups.
        views: of each of these.
        size: of the views, px.
        least_size: px; half of the views are drawn at a side of this to ``size`` and enlarged, as
            the method enlarges small images.
        keypoints: of a view.
        shown: keypoints of a view that a step sees.
        least_part: share of a view's keypoints that is shown at least, on one side of a line.
        apart: how far the frames of two views are shifted on top, share of their side: where in
            its image a keypoint lies says nothing about where in the other.
        rotation: of a view, degrees; two views lie apart by up to twice that.
        scale: of a view, factor.
        shift: of a view, share of its side.
        zooms: magnification of each data folder at the transfer, see the joint network.
        transformer_weights: name of the shipped generator whose fake OCTA is shown as one more
            image of each colour photograph; empty for none.
        hold_out: one in so many eyes of each folder validates.
        validation_pairs: pairs of views of each folder.
    """

    superpoint: str = "superpoint-retina"
    width: int = 128
    encoder_sizes: tuple[int, ...] = (32, 64, 128)
    layers: int = 5
    heads: int = 4
    start: str = ""
    full: bool = False
    sinkhorn_iterations: int = 20
    descriptor_weight: float = 0.0
    views_folder: str = ""
    groups: tuple[int, ...] = (40,)
    shares: tuple[float, ...] = ()
    views: int = 6
    size: int = 512
    least_size: int = 512
    keypoints: int = 448
    shown: int = 384
    least_part: float = 0.4
    apart: float = 0.4
    rotation: float = 22.0
    scale: float = 1.4
    shift: float = 0.2
    zooms: tuple[float, ...] = (1.0,)
    transformer_weights: str = "cf_to_octa"
    hold_out: int = 10
    validation_pairs: int = 24

    def sizes(self, descriptor_dim: int) -> SuperGlueConfig:
        """Return the sizes of the network for descriptors of a length."""
        if self.full:
            return SuperGlueConfig(
                descriptor_dim,
                sinkhorn_iterations=self.sinkhorn_iterations,
                descriptor_weight=self.descriptor_weight,
            )
        return SuperGlueConfig(
            descriptor_dim=descriptor_dim,
            width=self.width,
            encoder_sizes=self.encoder_sizes,
            layers=self.layers,
            heads=self.heads,
            sinkhorn_iterations=self.sinkhorn_iterations,
            descriptor_weight=self.descriptor_weight,
        )

    def plan(self, views: int) -> ViewPlan:
        """Return how so many views of an eye are drawn."""
        motion = Motion(
            rotation=self.rotation,
            scale=self.scale,
            shift=self.shift,
            perspective=0.02,
            bend=0.02,
        )
        return ViewPlan(views, self.size, self.least_size, self.keypoints, motion)


T = TypeVar("T")


def for_folder(values: Sequence[T], index: int) -> T:
    """Return the value of a data folder; a single one is for all."""
    return values[index % len(values)]
