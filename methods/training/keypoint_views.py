"""Keypoints of many views of each eye, found once: any two views of an eye are a pair to match.

Detecting keypoints costs more than matching them, so a step of the matcher should not wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from imedbench.core.arrays import Mask, Plane
from imedbench.core.polarity import flatten
from imedbench.core.resize import resize, resize_mask
from imedbench.methods.networks.keypoints import Detection
from imedbench.methods.networks.superpoint import SuperPoint
from imedbench.methods.precision import fast_bfloat16
from imedbench.methods.training.aligned_eyes import (
    AlignedEye,
    Motion,
    Place,
    distractor,
    draw_placement,
    look,
    random_motion,
)
from imedbench.methods.training.restyle_views import Chances, restyle

_CLEAN = 0.3  # chance that a view is not restyled
_GROUND = 127  # grey level of what is beside an image
_AS_IT_IS = 0.5  # chance that a view is not enlarged, where others are
_CHANCES = Chances(other=0.15, cut=0.0, aperture=0.0, lines=0.05)  # edges are no keypoints


class ViewPlan(NamedTuple):
    """How views are drawn.

    Args:
        views: of one eye in one orientation.
        size: side of a view, px.
        least_size: side at least at which a view is drawn before it is enlarged to ``size``, px.
        keypoints: of a view.
        motion: of a view; two views lie apart by up to twice that.
    """

    views: int
    size: int
    least_size: int
    keypoints: int
    motion: Motion


@dataclass(frozen=True, eq=False)
class KeypointViews:
    """Keypoints of G groups of V views; the views of a group show one eye.

    Args:
        points: float32 G×V×N×2 px.
        places: float32 G×V×N×2, where in the eye they lie.
        scale: float32 G×V, px of the view for one of the eye.
        scores: float32 G×V×N.
        descriptors: float16 G×V×N×D.
    """

    points: NDArray[np.float32]
    places: NDArray[np.float32]
    scale: NDArray[np.float32]
    scores: NDArray[np.float32]
    descriptors: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def find(
        cls,
        detector: SuperPoint,
        folders: Sequence[Sequence[AlignedEye]],
        groups: Sequence[int],
        plan: ViewPlan,
        seed: Sequence[int],
    ) -> KeypointViews:
        """Draw views of the eyes of each folder and find their keypoints.

        Args:
            detector: finds them.
            folders: eyes.
            groups: how many of each folder.
            plan: of the views.
            seed: of what is drawn.
        """
        found = [
            _group(detector, eyes, folders[0], plan, np.random.default_rng([*seed, folder, index]))
            for folder, (eyes, count) in enumerate(zip(folders, groups, strict=True))
            for index in range(count)
        ]
        return cls(*(np.stack(column) for column in zip(*found, strict=True)))

    def save(self, folder: Path) -> None:
        """Write one file for each array."""
        folder.mkdir(parents=True, exist_ok=True)
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name))

    @classmethod
    def load(cls, folder: Path) -> KeypointViews:
        """Read what `save` wrote; the arrays stay on disk."""
        return cls(*(np.load(folder / f"{f.name}.npy", mmap_mode="r") for f in fields(cls)))


def _group(
    detector: SuperPoint,
    eyes: Sequence[AlignedEye],
    others: Sequence[AlignedEye],
    plan: ViewPlan,
    rng: np.random.Generator,
) -> tuple[NDArray[np.generic], ...]:
    """The arrays of one group, in the order of `KeypointViews`."""
    eye = eyes[int(rng.integers(len(eyes)))]
    base = draw_placement(eye, rng)
    places, planes, masks = [], [], []
    for _ in range(plan.views):
        place = _after(base, random_motion(plan.motion, flat=bool(rng.random() < 0.5), rng=rng))
        plane, mask = draw_view(eye, place, others, plan, rng)
        places.append(place)
        planes.append(plane)
        masks.append(mask)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16("cpu"))
    with torch.inference_mode(), autocast:
        detection = Detection(max_keypoints=plan.keypoints, threshold=0.0)
        shown, seen = torch.from_numpy(np.stack(planes)), torch.from_numpy(np.stack(masks))
        found = detector.detect(shown[:, None], detection, seen)
    points = found.points.float().numpy()
    unit = (points + 0.5) * 2 / plan.size - 1
    there = np.stack(
        [place(view.astype(np.float64)) for place, view in zip(places, unit, strict=True)]
    )
    return (
        points,
        there.astype(np.float32),
        np.array([_magnification(place, plan.size) for place in places], np.float32),
        found.scores.float().numpy(),
        found.descriptors.half().numpy(),
    )


def draw_view(
    eye: AlignedEye,
    place: Place,
    others: Sequence[AlignedEye],
    plan: ViewPlan,
    rng: np.random.Generator,
) -> tuple[Plane, Mask]:
    """Show an eye as the method shows an image: enlarged where it is small, on an even ground.

    Args:
        eye: what is seen.
        place: from the unit frame of the view to pixels of the eye's images.
        others: eyes of which one may shine through.
        plan: of the views.
        rng: drawn from in a fixed order.

    Returns:
        float32 S×S in [0, 1], and where it has retina, bool S×S.
    """
    side = plan.size
    if plan.least_size < plan.size and rng.random() >= _AS_IT_IS:
        side = int(rng.integers(plan.least_size, plan.size))
    plane = look(eye.planes[int(rng.integers(len(eye.planes)))], place, side, _GROUND)
    # Outside its field an eye shows nothing but ground; inside, few pixels are as grey as that.
    seen = (np.abs(plane * 255 - _GROUND) > 1.5).astype(np.uint8)
    mask = cv2.morphologyEx(seen, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)) > 0
    if rng.random() >= _CLEAN:
        plane = restyle(plane, distractor(others, side, rng), _CHANCES, rng) + np.float32(0.5)
    whole = (plan.size, plan.size)
    plane, mask = resize(plane, whole, enlarge="cubic"), resize_mask(mask, whole)
    return flatten(plane * 255, mask), mask


def _after(place: Place, motion: Place) -> Place:
    return lambda points: place(motion(points))


def _magnification(place: Place, size: int) -> float:
    """Pixels of a view for one of the eye, in the view's middle."""
    corners = place(np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1]]))
    area = abs(float(np.linalg.det(corners[1:] - corners[0])))
    return 0.1 * size / 2 / float(np.sqrt(max(area, 1e-9)))
