"""From two images to a quadratic map by the coarse-to-fine network, from one start or from many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imedbench.core.stages import stage
from imedbench.core.transforms import Affine, Quadratic
from imedbench.methods import weights
from imedbench.methods.dense_registration import fit_square
from imedbench.methods.networks import polynomial_fit as poly
from imedbench.methods.networks.coarse_to_fine import SIZE, CoarseToFine, warp
from imedbench.methods.networks.joint_encoder import Features
from imedbench.methods.networks.unit_frame import grid_points
from imedbench.methods.precision import fast_bfloat16

Plane = NDArray[np.float32]
_LEVELS = (2 * SIZE, SIZE, SIZE // 2)  # px, sides of the copies that images are sampled from
_TURNS = 8  # starts a full turn: 45° apart, the network was trained on ±35°
_ZOOMS = (0.5, 0.71, 1.0, 1.41, 2.0)  # of the starts, that zoom to 2 is well in reach of one
_FINALISTS = 6  # starts that are refined
_KNOTS = 17  # points a side at which a map is checked for folds


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as the network sees it.

    Args:
        copies: 1×1×side×side about 0, one for each side asked for.
        from_image: from the image's own pixels to the unit frame.
    """

    copies: tuple[Tensor, ...]
    from_image: Affine

    @classmethod
    def of(cls, plane: Plane, sides: Sequence[int], device: str) -> Picture:
        """Fit a normalised image, float32 H×W in [0, 1], into squares of these sides (px)."""
        squares = [fit_square(plane, side, 0.5) for side in sides]
        half = sides[0] / 2
        to_unit = Affine([[1 / half, 0, 0.5 / half - 1], [0, 1 / half, 0.5 / half - 1]])
        copies = tuple(
            torch.from_numpy(square.plane - np.float32(0.5))[None, None].to(device)
            for square in squares
        )
        from_image = squares[0].from_image.then(to_unit)
        assert isinstance(from_image, Affine)
        return cls(copies, from_image)

    def warped(self, maps: Tensor) -> Tensor:
        """Show the picture under maps, B×`poly.TERMS`×2 → B×1×S×S, from the nearest copy."""
        scale = poly.jacobian(maps, maps.new_zeros(1, 2)).det().abs().sqrt()[:, 0]
        wanted = (SIZE / scale.clamp(min=1e-3)).log2().tolist()
        sides = [math.log2(copy.shape[-1]) for copy in self.copies]
        nearest = [int(np.argmin([abs(side - w) for side in sides])) for w in wanted]
        shown = [warp(self.copies[n], maps[i : i + 1]) for i, n in enumerate(nearest)]
        return torch.cat(shown)


@dataclass(frozen=True, eq=False)
class Found:
    """An answer of the network.

    Args:
        map: moving from fixed in unit frames, 1×`poly.TERMS`×2.
        odds: log odds that it is right.
        start: number of the start, 0 for the images as they are.
        vessels: of the fixed image, uint8 S×S.
    """

    map: Tensor
    odds: float
    start: int
    vessels: NDArray[np.uint8]

    @property
    def confidence(self) -> float:
        """How likely the map is right, in [0, 1]."""
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, self.odds))))

    def moving_from_fixed(self, fixed: Picture, moving: Picture) -> Quadratic:
        """Return the map in pixels of the two images."""
        points = grid_points((_KNOTS, _KNOTS))[0]
        there = poly.evaluate(self.map.double().cpu(), points.double())[0].numpy()
        to_fixed, to_moving = fixed.from_image.inverse(), moving.from_image.inverse()
        return Quadratic.fit(to_fixed.apply(points.numpy()), to_moving.apply(there))


@dataclass(frozen=True, eq=False)
class Starts:
    """Views of both images between which the global stage is asked for a small motion.

    Whichever image shows more is shrunk, so that no part of either is left out.

    Args:
        fixed: fixed points from points of its view, N×`poly.TERMS`×2; a zoom.
        moving: moving points from points of its view, N×2×3; a rotation and a zoom.
    """

    fixed: Tensor
    moving: Tensor

    @classmethod
    def all(cls) -> Starts:
        """Return every rotation at every zoom, zoom by zoom."""
        fixed, moving = [], []
        for zoom in _ZOOMS:
            for turn in range(_TURNS):
                angle, shrunk = 2 * math.pi * turn / _TURNS, max(1.0, zoom)
                c, s = shrunk * math.cos(angle), shrunk * math.sin(angle)
                moving.append([[c, -s, 0.0], [s, c, 0.0]])
                fixed.append([[shrunk / zoom, 0.0, 0.0], [0.0, shrunk / zoom, 0.0]])
        return cls(poly.from_affine(torch.tensor(fixed)), torch.tensor(moving))

    def __len__(self) -> int:
        return len(self.fixed)

    def __getitem__(self, part: slice) -> Starts:
        return Starts(self.fixed[part], self.moving[part])

    def to(self, device: str) -> Starts:
        """Return the same on a device."""
        return Starts(self.fixed.to(device), self.moving.to(device))

    def split(self, size: int) -> list[Starts]:
        """So many at a time."""
        return [self[at : at + size] for at in range(0, len(self), size)]

    def whole(self, between: Tensor) -> Tensor:
        """Moving from fixed, from affine maps between the views; N×`poly.TERMS`×2 each."""
        linear = between / self.fixed[:, 1, :1, None]
        inner = torch.cat([between[:, :1], linear[:, 1:3], between[:, 3:]], dim=1)
        return poly.after_affine(self.moving, inner)


def load_search(
    name: str, device: str, *, steps: int, sure: float = 0.0, starts: bool = False
) -> CoarseToFineSearch:
    """Load the shipped network of that name and make its search; see `CoarseToFineSearch`."""
    net = weights.load(name)
    assert isinstance(net, CoarseToFine)
    return CoarseToFineSearch(net, device, steps=steps, sure=sure, starts=starts)


class CoarseToFineSearch:
    """Runs the network, and from other starts where its own answer does not convince it.

    Args:
        net: trained.
        device: where it runs.
        steps: local steps of each answer.
        sure: confidence at which no other start is tried.
        starts: whether other starts may be tried at all.
    """

    def __init__(
        self, net: CoarseToFine, device: str, *, steps: int, sure: float, starts: bool
    ) -> None:
        self._net, self._device = net.folded().to(device), device
        self._net.use_bfloat16 = fast_bfloat16(device)
        self._steps, self._sure, self._starts = steps, sure, starts
        self._all_starts = Starts.all().to(device)

    def pictures(self, fixed: Plane, moving: Plane) -> tuple[Picture, Picture]:
        """Both normalised images as the network sees them."""
        return (
            Picture.of(fixed, _LEVELS[1:], self._device),
            Picture.of(moving, _LEVELS, self._device),
        )

    def __call__(self, fixed: Picture, moving: Picture) -> Found:
        """The best answer and how sure the network is of it."""
        with torch.inference_mode():
            with stage("coarse"):
                images = torch.cat([fixed.copies[0], moving.copies[_LEVELS.index(SIZE)]])
                both = self._net.encode(images, vessels=True)
                here = both[:1]
                first = self._net.globally(here.coarse, both[1:].coarse)
                vessels = (both.vessels[0, 0].sigmoid() * 255).byte().cpu().numpy()
            with stage("fine"):
                maps, odds = self._refined(here, moving, first.map)
            found = Found(maps, float(odds), 0, vessels)
            if self._starts and found.confidence < self._sure:
                with stage("starts"):
                    other = self._from_other_starts(fixed, here, moving, vessels)
                found = max(found, other, key=lambda answer: answer.odds)
        return found

    def _refined(self, fixed: Features, moving: Picture, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Local steps from B maps; the odds of maps that fold are none."""
        count = len(maps)
        fine = fixed.fine.expand(count, -1, -1, -1)
        many = Features(fixed.coarse, fine, fixed.vessels)
        odds = maps.new_zeros(count)
        for _ in range(self._steps):
            step = self._net.refine(many, moving.warped(maps), maps)
            maps, odds = step.map, step.odds
        return maps, torch.where(folds(maps), -torch.inf, odds)

    def _from_other_starts(
        self, fixed: Picture, here: Features, moving: Picture, vessels: NDArray[np.uint8]
    ) -> Found:
        """All starts through the global stage, the best of them refined."""
        maps, odds = [], []
        for starts in self._all_starts.split(_TURNS):
            views = torch.cat(
                [fixed.warped(starts.fixed[:1]), moving.warped(poly.from_affine(starts.moving))]
            )
            seen = self._net.encode(views).coarse
            step = self._net.globally(seen[:1].expand(len(views) - 1, -1, -1, -1), seen[1:])
            maps.append(starts.whole(step.map))
            odds.append(step.odds)
        best = torch.cat(odds).topk(_FINALISTS).indices
        refined, final = self._refined(here, moving, torch.cat(maps)[best])
        winner = int(final.argmax())
        return Found(
            refined[winner : winner + 1], float(final[winner]), int(best[winner]) + 1, vessels
        )


def folds(maps: Tensor) -> Tensor:
    """Tell whether the Jacobian changes sign on the fixed image, B×`poly.TERMS`×2 → B."""
    points = grid_points((_KNOTS, _KNOTS), maps.device)[0] * (1 + 1 / _KNOTS)  # to the very edge
    determinants = poly.jacobian(maps, points).det()
    return (determinants <= 0).any(dim=1)
