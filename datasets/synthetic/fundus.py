"""The parts of a fundus that several modalities show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from imedbench.core.arrays import Mask
from imedbench.datasets.synthetic.drawing import Plane, Strokes, draw, fill, project
from imedbench.datasets.synthetic.lesions import LesionKind, make_lesions
from imedbench.datasets.synthetic.randomness import stream
from imedbench.datasets.synthetic.textures import clouds, sample
from imedbench.datasets.synthetic.tree import Eye
from imedbench.datasets.synthetic.view import View

MAX_RADIUS_MM = 0.06
"""Radius of a vessel that absorbs fully."""

BEAM_MM = 0.004
"""What the width of the scanning beam, or of a lens's blur, adds to a vessel's radius."""


@dataclass(frozen=True, eq=False)
class Fundus:
    """An eye before one camera: planes of what is where, made when asked for.

    Args:
        eye: the anatomy.
        view: the camera.
        lesion_load: 0 healthy … 1 sick.
    """

    eye: Eye
    view: View
    lesion_load: float = 0.0

    @cached_property
    def strokes(self) -> Strokes:
        """The vessels in the image."""
        return project(self.view, self.eye.vessels)

    @cached_property
    def _seen(self) -> Strokes:
        """The vessels as wide as they look."""
        beam = BEAM_MM / self.view.mm_per_px
        return replace(self.strokes, radius=self.strokes.radius + beam)

    @cached_property
    def blood(self) -> Plane:
        """How much light the blood takes: float32 H×W, 1 in the widest veins."""
        depth = np.clip(self.strokes.radius_mm / MAX_RADIUS_MM, 0.0, 1.0) ** 0.95
        return draw(self.strokes, depth * np.where(self.strokes.artery, 0.72, 1.0))

    @cached_property
    def flow(self) -> Plane:
        """Flow in the drawn vessels: float32 H×W in [0, 1], brighter in wider ones."""
        wide = np.clip((self.strokes.radius_mm - 0.005) / 0.010, 0, 1)
        return draw(self._seen, 0.45 + 0.55 * wide)

    @cached_property
    def vessel_shadow(self) -> Plane:
        """The light or flow of wide vessels smeared out around them, float32 H×W in [0, 1]."""
        return self._soft(self.flow**2, 0.05)

    def vessels(self, least_diameter_mm: float, *, artery: bool | None = None) -> Mask:
        """Tell where vessels at least so wide are; those of one kind, if asked for."""
        keep = 2 * self.strokes.radius_mm >= least_diameter_mm
        if artery is not None:
            keep &= self.strokes.artery == artery
        chosen = self._seen.where(keep)
        # A line thinner than this would come out dotted.
        visible = replace(chosen, radius=np.maximum(chosen.radius, 0.6))
        return draw(visible, np.ones(len(chosen.radius))) > 0.5

    @cached_property
    def arteries(self) -> Mask:
        """Where arteries lie."""
        return self.vessels(0.0, artery=True)

    @cached_property
    def reflex(self) -> Plane:
        """The bright line along the middle of wide vessels, stronger on arteries."""
        wide = self.strokes.where(self.strokes.radius_mm > 0.022)
        return draw(wide, np.where(wide.artery, 1.0, 0.5), widen=0.28)

    @cached_property
    def disc(self) -> Plane:
        """The optic disc with a soft edge, float32 H×W, 1 inside."""
        return self._ellipse(self.eye.disc_radius, 0.0, soft_mm=0.06)

    @cached_property
    def cup(self) -> Plane:
        """The pale hollow of the disc, a little towards the fovea."""
        shift = -0.2 * self.eye.disc_radius * float(np.sign(self.eye.disc[0]))
        return self._ellipse(self.eye.disc_radius * 0.5, shift, soft_mm=0.12)

    @cached_property
    def from_fovea(self) -> Plane:
        """Distance from the fovea, mm."""
        grid = self.view.grid_mm
        distance: Plane = np.hypot(grid[..., 0], grid[..., 1])
        return distance

    def lesions(self, kind: LesionKind) -> Plane:
        """Tell where lesions of a kind are: float32 H×W in [0, 1]."""
        plane = fill(self.view, make_lesions(self.eye.seed, kind, self.lesion_load))
        return self._soft(plane, 0.022)

    @cached_property
    def pigment(self) -> Plane:
        """Clouds of pigment, about in [-1, 1]."""
        return 0.5 * sample("clouds", self.view.grid_mm, 0.012, self.eye.seed)

    @cached_property
    def grain(self) -> Plane:
        """Fine granular texture of the pigment epithelium, about in [-1, 1]."""
        return 0.7 * sample("grain", self.view.grid_mm, 0.022, self.eye.seed)

    @cached_property
    def choroid(self) -> Plane:
        """The choroid's wide vessels that shine through a pale retina, about in [-1, 1]."""
        grid, seed = self.view.grid_mm, self.eye.seed
        slow = sample("clouds", grid, 0.06, seed)
        bowed = grid + np.float32(0.25) * slow[..., None]
        turn = float(stream(seed, "choroid").uniform(0, np.pi))
        return 0.5 * sample("streaks", bowed, 0.024, seed, turn)

    def nerve_fibres(self) -> Plane:
        """Fine stripes that run from the disc in arcs round the fovea, about in [-1, 1]."""
        grid = self.view.grid_mm
        x, y = grid[..., 0] - np.float32(self.eye.disc[0]), grid[..., 1]
        angle = np.arctan2(y - self.eye.disc[1], x)
        reach = np.hypot(x, y)
        bowed = np.stack([reach * 0.6, angle * 6.0], -1).astype(np.float32)
        return sample("grain", bowed, 0.03, self.eye.seed)

    def _ellipse(self, radius: float, shift: float, soft_mm: float) -> Plane:
        turn = np.linspace(0, 2 * np.pi, 65)[:-1]
        outline = self.eye.disc + radius * np.stack([0.9 * np.cos(turn), np.sin(turn)], 1)
        outline[:, 0] += shift
        return self._soft(fill(self.view, [outline]), soft_mm)

    def _soft(self, plane: Plane, mm: float) -> Plane:
        sigma = max(mm / self.view.mm_per_px, 0.5)
        blurred: Plane = cv2.GaussianBlur(plane, (0, 0), sigma)
        return blurred


def illumination(size: int, rng: np.random.Generator, uneven: float, vignette: float) -> Plane:
    """Light on the fundus: a slope and a slow unevenness, falling off to the rim; about 1."""
    at = np.linspace(-1, 1, size, dtype=np.float32)
    tilt = 1.2 * rng.normal(0, uneven, 2)
    light = 1 + tilt[0] * at[None, :] + tilt[1] * at[:, None]
    light = light + 0.25 * uneven * clouds(size, 1, rng)
    light = 1 + 0.4 * np.tanh((light - 1) / 0.4)
    shape = at[None, :] ** 2 + at[:, None] ** 2
    lit: Plane = (light * (1 - vignette * shape**1.5)).astype(np.float32)
    return lit


def camera_aperture(size: int, rng: np.random.Generator) -> Mask:
    """Return the round field of view of a fundus camera, often cut at top and bottom."""
    at = np.linspace(-1, 1, size)
    inside: Mask = np.hypot(at[None, :], at[:, None]) < rng.uniform(0.93, 0.985)
    if rng.random() < 0.4:
        inside &= np.abs(at[:, None]) < rng.uniform(0.78, 0.92)
    return inside
