"""OCT angiography en face: flow is bright, the fovea has none."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Pixels
from imedbench.datasets.synthetic.drawing import Plane
from imedbench.datasets.synthetic.fundus import Fundus
from imedbench.datasets.synthetic.textures import clouds, mesh_along, noise, sample
from imedbench.datasets.synthetic.tree import Eye
from imedbench.datasets.synthetic.view import View

CAPILLARY_TEXEL_MM = 0.004
"""Scale of the capillary mesh: its lines lie about 50 µm apart."""


@dataclass(frozen=True)
class OctaLook:
    """How a device and a scan make the same flow look.

    Args:
        vessel: brightness of a large vessel, in [0, 1].
        mesh: brightness of the capillary mesh.
        floor: brightness where nothing flows.
        speckle: relative standard deviation of the flow signal's grain.
        blur_px: optical blur.
        grain_px: size of the grains.
        projection: brightness that wide vessels cast onto what lies below them.
        gamma: exponent on the finished image; above 1 darkens the mesh.
        signal_loss: how deep the clouds of lost signal are, in [0, 1].
        motion_lines: number of lines torn by eye movements.
        quilt: whether the scan lost many lines in both directions.
        logo: whether the device prints a thumbnail into the corner.
    """

    vessel: float = 0.88
    mesh: float = 0.45
    floor: float = 0.05
    speckle: float = 0.35
    blur_px: float = 0.6
    grain_px: float = 0.5
    projection: float = 0.05
    gamma: float = 1.0
    signal_loss: float = 0.1
    motion_lines: int = 1
    quilt: bool = False
    logo: bool = False

    @classmethod
    def random(
        cls, rng: np.random.Generator, *, logo: bool = False, flaws: float = 1.0
    ) -> OctaLook:
        """Return a look such as one meets; ``flaws`` scales artefacts."""
        softness = rng.uniform(0, 1)
        return cls(
            vessel=rng.uniform(0.68, 0.82),
            mesh=rng.uniform(0.48, 0.66),
            floor=rng.uniform(0.04, 0.10),
            speckle=rng.uniform(0.25, 0.5) * (1.25 - 0.5 * softness),
            blur_px=0.4 + 0.5 * softness,
            grain_px=0.3 + 0.55 * softness,
            projection=rng.uniform(0.0, 0.12),
            gamma=rng.uniform(0.8, 1.25),
            signal_loss=float(flaws * rng.choice([0.05, 0.15, 0.5], p=[0.5, 0.35, 0.15])),
            motion_lines=int(rng.poisson(1.0 * flaws)),
            quilt=bool(rng.random() < 0.05 * flaws),
            logo=logo,
        )


def render_octa(fundus: Fundus, look: OctaLook, rng: np.random.Generator) -> Pixels:
    """Return an OCTA image.

    Args:
        fundus: what is before the camera.
        look: the device and the quality of the scan.
        rng: for grain and artefacts.

    Returns:
        uint8 H×W.
    """
    mesh = capillaries(fundus.eye, fundus.view)
    flow = np.maximum(look.vessel * fundus.flow, look.mesh * mesh)
    flow += look.projection * fundus.vessel_shadow
    flow = cv2.GaussianBlur(flow, (0, 0), look.blur_px)
    flow *= 1 - look.signal_loss * np.clip(clouds(flow.shape[0], 3, rng), 0, 1.3) / 1.3
    image = _grain(flow + look.floor, look, rng)
    image = np.clip(image, 0, 1) ** look.gamma
    image = _tear(image, look, rng)
    pixels = np.rint(255 * image).astype(np.uint8)
    if look.logo:
        _print_logo(pixels)
    return pixels


def render_octa_like(eye: Eye, view: View, visible: Plane, rng: np.random.Generator) -> Pixels:
    """Say what an image translator makes of a photograph: its vessels in OCTA's colours.

    It stands for the output of a network such as CycleGAN, with that kind of network's faults:
    vessels that the photograph hardly shows are missing, the others come out broken and a pixel
    off, some are made up, and the mesh has nothing to do with the eye's own capillaries.

    Args:
        eye: what is imaged.
        view: the camera of the photograph.
        visible: how well the photograph shows a vessel at each pixel, float32 H×W in [0, 1].
        rng: for the invented parts.

    Returns:
        uint8 H×W.
    """
    look = OctaLook.random(rng, flaws=0.3)
    grid = view.grid_mm
    invented = mesh_along(
        grid, np.arctan2(grid[..., 1], grid[..., 0]), CAPILLARY_TEXEL_MM, int(rng.integers(2**31))
    )
    dark = 1 - _foveal_shadow(eye, view, rng)
    vessels = np.maximum(_misdrawn(visible, rng), _made_up(view, rng) * dark)
    flow = np.maximum(look.vessel * vessels, look.mesh * 0.9 * invented * dark)
    flow = cv2.GaussianBlur(flow, (0, 0), look.blur_px + 0.35)
    image = np.clip(_grain(flow + look.floor, look, rng), 0, 1) ** look.gamma
    pixels: Pixels = np.rint(255 * image).astype(np.uint8)
    return pixels


def capillaries(eye: Eye, view: View) -> Plane:
    """Return the capillary mesh, float32 H×W in [0, 1], absent within the foveal avascular zone."""
    grid = view.grid_mm
    x, y = grid[..., 0], grid[..., 1]
    wobble = 0.5 * sample("clouds", grid, 0.01, eye.seed)
    mesh = mesh_along(grid, np.arctan2(y, x) + wobble, CAPILLARY_TEXEL_MM, eye.seed)
    edge = eye.faz_radius(grid).astype(np.float32)
    beyond = np.hypot(x, y) - edge
    mesh *= np.clip(beyond / 0.05 + 0.3, 0.1, 1)
    ring = 0.9 * np.exp(-((beyond / 0.009) ** 2)) * (wobble > -0.4)
    plane: Plane = np.maximum(mesh, ring)
    return plane


def _misdrawn(visible: Plane, rng: np.random.Generator) -> Plane:
    """Vessels displaced by about a pixel of 512 and faded in places."""
    size = visible.shape[0]
    unit = size / 512
    y, x = np.mgrid[:size, :size].astype(np.float32)
    wave = 14 * unit
    u = x + np.float32(1.2 * unit) * noise(visible.shape, wave, rng)
    v = y + np.float32(1.2 * unit) * noise(visible.shape, wave, rng)
    faded = np.clip(0.95 + 0.5 * noise(visible.shape, 2 * wave, rng), 0, 1)
    return faded * cv2.remap(visible, u, v, cv2.INTER_LINEAR)


def _made_up(view: View, rng: np.random.Generator) -> Plane:
    """A few pieces of vessel where there is none."""
    lines = sample("mesh", view.grid_mm, 0.025, int(rng.integers(2**31)))
    where = np.clip(clouds(view.size, 6, rng) - 1.1, 0, 1)
    return np.clip(1.4 * lines - 0.5, 0, 1) * where


def _foveal_shadow(eye: Eye, view: View, rng: np.random.Generator) -> Plane:
    """Where a translator believes the avascular zone to be: the dark of the photograph."""
    grid = view.grid_mm - rng.normal(0, 0.05, 2).astype(np.float32)
    size = float(eye.faz.mean()) * rng.uniform(0.9, 1.5)
    shadow: Plane = np.exp(-((np.hypot(grid[..., 0], grid[..., 1]) / size) ** 4))
    return shadow


def _grain(flow: Plane, look: OctaLook, rng: np.random.Generator) -> Plane:
    """Speckle: grain that grows with the signal, and a little where there is none."""
    grain = noise(flow.shape, look.grain_px, rng)
    noisy: Plane = flow * (1 + look.speckle * grain * (1.05 - flow)) + 0.03 * grain
    return noisy


def _tear(image: Plane, look: OctaLook, rng: np.random.Generator) -> Plane:
    """Lines shifted or lost by eye movements."""
    size = image.shape[0]
    for row in rng.integers(0, size, look.motion_lines):
        thick = max(1, round(size / 512 * rng.uniform(0.6, 2.2)))
        image[row : row + thick] = np.roll(image[row : row + thick], rng.integers(-6, 7), axis=1)
        image[row : row + thick] *= rng.choice([0.15, 0.4, 1.3])
    if look.quilt:
        for axis in (0, 1):
            lost = rng.normal(rng.uniform(0.1, 0.9), 0.12, 6) * size
            lost = np.unique(np.clip(lost, 0, size - 3).astype(int))
            for line in lost:
                part = image[line : line + 2] if axis == 0 else image[:, line : line + 2]
                part *= rng.uniform(0.05, 0.3)
    return np.clip(image, 0, 1)


def _print_logo(pixels: NDArray[np.uint8]) -> None:
    """The thumbnail of the scan that devices print into the lower left corner."""
    unit = pixels.shape[0] / 512
    x, y, w, h = (round(v * unit) for v in (14, 459, 23, 39))
    pixels[y : y + h, x : x + w] = 10
    cv2.rectangle(pixels, (x, y), (x + w, y + h), 255, max(1, round(1.3 * unit)))
    for level, offset in ((255, 8), (90, 14), (60, 17)):
        row = y + round(offset * unit)
        pixels[row : row + max(1, round(3 * unit)), x + 2 : x + w - 1] = level
