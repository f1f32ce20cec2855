"""Keypoints of two views of one eye, with the assignment that is true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imedbench.methods.networks.keypoints import Keypoints
from imedbench.methods.networks.losses.keypoints import true_assignment
from imedbench.methods.training.keypoint_views import KeypointViews
from imedbench.methods.training.task import Sample

_NEAR_PX = 3.0
_FAR_PX = 6.0
_NOWHERE = (1e6, -1e6)  # px, where the keypoints of either view lie that are none


def as_sample(
    views: KeypointViews, group: int, pair: NDArray[np.int64], chosen: Sequence[NDArray[np.int64]]
) -> Sample:
    """Return keypoints of two views of a group, 2×K each, with the assignment that is true.

    Args:
        views: of eyes.
        group: which eye.
        pair: which of its views.
        chosen: which keypoints of either, K numbers, -1 for none.
    """
    names = ("points", "places", "scores", "descriptors")
    sample = {name: _chosen(getattr(views, name), group, pair, chosen) for name in names}
    sample["valid"] = torch.from_numpy(np.stack(chosen) >= 0)
    scale = float(np.sqrt(np.prod(views.scale[group, pair])))  # px of the views for one of the eye
    sample["places"] *= scale
    for places, valid, nowhere in zip(sample["places"], sample["valid"], _NOWHERE, strict=True):
        places[~valid] = nowhere
    first, second = sample["places"][:, None]
    target = true_assignment(first, second, _NEAR_PX, _FAR_PX)[0]
    target[:-1][~sample["valid"][0]] = False
    target[:, :-1][:, ~sample["valid"][1]] = False
    sample["target"] = target
    return sample


def _chosen(
    values: NDArray[np.floating],
    group: int,
    pair: NDArray[np.int64],
    chosen: Sequence[NDArray[np.int64]],
) -> Tensor:
    parts = [np.asarray(values[group, v], np.float32)[k] for v, k in zip(pair, chosen, strict=True)]
    return torch.from_numpy(np.stack(parts))


def both_keypoints(batch: Sample) -> tuple[Keypoints, Keypoints]:
    """Return the keypoints of the first and of the second views of a batch."""
    names = ("points", "scores", "descriptors", "valid")
    first, second = (Keypoints(*(batch[name][:, i] for name in names)) for i in (0, 1))
    return first, second


def right_matches(batch: Sample, matches: Tensor) -> Tensor:
    """Tell which matches of one pair, K×2 indices, join the same place, bool K."""
    first, second = batch["places"][0]
    return (first[matches[:, 0]] - second[matches[:, 1]]).norm(dim=1) < _NEAR_PX
