"""What a training of SuperGlue can be set to."""

from __future__ import annotations

from dataclasses import dataclass

from imedbench.methods.training.config import TrainingConfig


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
        sinkhorn_iterations: of the optimal transport.
        crop: side of the views, px.
        keypoints: of a view.
        rotation: between two views, at most, in degrees.
        drawn: share of views that show the vessels alone.
        hold_out: one in so many training images of each folder validates.
        validation_pairs: pairs of views of each folder.
    """

    superpoint: str = "superpoint-retina"
    width: int = 128
    encoder_sizes: tuple[int, ...] = (32, 64, 128)
    layers: int = 5
    heads: int = 4
    sinkhorn_iterations: int = 100
    crop: int = 256
    keypoints: int = 256
    rotation: float = 30.0
    drawn: float = 0.25
    hold_out: int = 10
    validation_pairs: int = 8
