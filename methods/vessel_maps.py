"""From an image to a map of its vessels: how vessel-like each pixel is, and which way they run.

The image is brought to its working frame (`working_image`), then a network or filters find the
vessels there (`Segmenter`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import torch

from imedbench.core.arrays import Floats, Mask, Matrix, Pixels, Plane
from imedbench.core.errors import BadInput
from imedbench.core.polarity import field_of_view, normalise
from imedbench.core.resize import resize, resizing_matrix
from imedbench.core.types import Image
from imedbench.methods import weights
from imedbench.methods.networks.unet import UNet
from imedbench.methods.noise import suppress_noise
from imedbench.methods.precision import fast_bfloat16
from imedbench.methods.vessel import VESSEL_WEIGHTS

if TYPE_CHECKING:
    from imedbench.methods.vessel import Segmentation
    from imedbench.methods.vessel_openvino import OpenVinoNetwork

Runtime = Literal["torch", "openvino"]

_MAX_GROWTH = 2.0
_SMALL_FIELD = 0.72  # of an image's longer side: on training pairs larger ones gain nothing
_MARGIN = 8  # px round a small field of view, where its edge is told
_DIRECTIONS = 8
_ORDERS = (2, 0), (0, 2), (1, 1)  # of the derivatives along x and y
_SIGMA = 1.6  # px across a thin vessel
_LONG_LINE = 7  # px each way along which a filter looks where the image itself is filtered
_SHORT_LINE = 5  # px, enough where a network has removed the noise
_RIM = 4  # px inside the field of view that are not trusted
_TOP = 97  # percentile of the strength that counts as a clear vessel
_FAINTEST = 0.01  # response that can be a clear vessel: an empty image must stay empty
_MIN_PROBABILITY = 1e-3
_IMAGE_SHARE = 0.5  # of the image beside the network's evidence: keeps vessels it does not know


@dataclass(frozen=True, eq=False)
class WorkingImage:
    """An image in its working frame.

    Args:
        bright: float32 H×W in [0, 1], vessels bright on an even ground.
        fov: bool H×W, where it shows retina.
        work_from_native: 3×3, from the image's own pixels to those of this view.
    """

    bright: Plane
    fov: Mask
    work_from_native: Matrix


def working_scales(fixed: Image, moving: Image, size: int) -> tuple[float, float]:
    """By how much to resize either image of a pair.

    Each is shrunk so that its longer side is at most `size`. Where both are smaller they are
    enlarged alike, at most twofold: filters and networks know vessels of a certain width.

    Args:
        fixed: the one image.
        moving: the other.
        size: px.
    """
    longest = [max(image.size) for image in (fixed, moving)]
    growth = min(max(1.0, size / max(longest)), _MAX_GROWTH)
    return min(growth, size / longest[0]), min(growth, size / longest[1])


def working_image(image: Image, scale: float) -> WorkingImage:
    """Resize, find the field of view, suppress noise, even out.

    Args:
        image: any modality.
        scale: of the view's pixels to the image's.
    """
    pixels, work_from_native = _resized(image.pixels, scale)
    return _evened(pixels, field_of_view(pixels), work_from_native)


def closer_image(image: Image, scale: float) -> WorkingImage:
    """`working_image`, where the field of view is small that alone, as large as the whole would be.

    Vessels seen from afar run into one another.

    Args:
        image: any modality.
        scale: of the view's pixels to the image's, if all of it is to be seen.
    """
    pixels, work_from_native = _resized(image.pixels, scale)
    fov = field_of_view(pixels)
    x, y, width, height = cv2.boundingRect(fov.astype(np.uint8))
    share = max(width, height) / max(fov.shape)
    closer = min(scale / share, _MAX_GROWTH)
    if share > _SMALL_FIELD or closer <= scale:
        return _evened(pixels, fov, work_from_native)
    left, top = (max(int((start - _MARGIN) / scale), 0) for start in (x, y))
    right, bottom = (int((end + _MARGIN) / scale) + 1 for end in (x + width, y + height))
    pixels, work_from_native = _resized(image.pixels[top:bottom, left:right], closer)
    shift = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
    return _evened(pixels, field_of_view(pixels), work_from_native @ shift)


def _resized(pixels: Pixels, scale: float) -> tuple[Pixels, Matrix]:
    """An image so many times as large, and the map from its pixels."""
    before = pixels.shape[1], pixels.shape[0]
    after = max(round(before[0] * scale), 8), max(round(before[1] * scale), 8)
    return resize(pixels, after, enlarge="cubic"), resizing_matrix(before, after)


def _evened(pixels: Pixels, fov: Mask, work_from_native: Matrix) -> WorkingImage:
    bright = normalise(suppress_noise(Image(pixels).grey(), fov), fov)
    return WorkingImage(bright, fov, work_from_native)


class Segmenter:
    """Finds vessels.

    Args:
        kind: ``unet``, the trained network; ``oriented``, elongated filters; ``ridge``, plain
            second derivatives.
        device: where the network runs.
        network: name of the shipped weights.
        runtime: what runs the network: ``torch``, or ``openvino`` in 8 bits on the processor.
    """

    def __init__(
        self,
        kind: Segmentation,
        device: str = "cpu",
        network: str = VESSEL_WEIGHTS,
        runtime: Runtime = "torch",
    ) -> None:
        self.kind = kind
        self._rounded: OpenVinoNetwork | None = None
        self._device = torch.device(device)
        self._dtype = torch.bfloat16 if fast_bfloat16(device) else torch.float32
        self._net: UNet | None = None
        if kind == "unet" and runtime == "openvino":
            from imedbench.methods.vessel_openvino import OpenVinoNetwork

            self._rounded = OpenVinoNetwork(network)
        elif kind == "unet":
            net = weights.load(network)
            if not isinstance(net, UNet):
                raise BadInput(f"the weights {network!r} are not those of a U-Net")
            self._net = net.folded().to(self._device, self._dtype)

    def __call__(self, view: WorkingImage) -> VesselMap:
        """The vessel map of an image in its working frame."""
        if self.kind != "unet":
            find = oriented_map if self.kind == "oriented" else ridge_map
            return find(view.bright, view.fov)
        return evidence_map(view.bright, self.probability(view), view.fov)

    def probability(self, view: WorkingImage) -> Plane:
        """Say how likely the network holds each pixel for a vessel, float32 H×W in [0, 1].

        Raises:
            BadInput: when vessels are found by filters.
        """
        if self._rounded is not None:
            return self._rounded(view.bright)
        if self._net is None:
            raise BadInput(f"the filters of segmentation={self.kind} give no probabilities")
        with torch.inference_mode():
            image = torch.from_numpy(view.bright)[None, None].to(self._device, self._dtype)
            logits = self._net(image.contiguous(memory_format=torch.channels_last))
            likely: Plane = torch.sigmoid(logits[0, 0].float()).cpu().numpy()
        return likely


@dataclass(frozen=True, eq=False)
class VesselMap:
    """How vessel-like each pixel is, and which way a vessel runs there.

    Args:
        strength: float32 H×W ≥ 0; 1 is a clear vessel.
        double_angle: float32 2×H×W, strength times cosine and sine of twice the direction.
        fov: bool H×W, where the image shows retina.
    """

    strength: Plane
    double_angle: Plane
    fov: Mask


def ridge_map(bright: Plane, fov: Mask) -> VesselMap:
    """Second derivatives at two scales, the strongest direction kept; see `oriented_map`."""
    return _filtered(bright, fov, 0)


def oriented_map(bright: Plane, fov: Mask) -> VesselMap:
    """Elongated second-derivative filters at two scales, the strongest direction kept.

    Args:
        bright: float32 H×W in [0, 1], vessels bright on an even ground (`polarity.normalise`).
        fov: bool H×W.
    """
    return _filtered(bright, fov, _LONG_LINE)


def evidence_map(bright: Plane, probability: Plane, fov: Mask) -> VesselMap:
    """Return the network's evidence and a share of the image, through the same filters.

    Log odds rather than probabilities: faint vessels must stay visible beside clear ones.

    Args:
        bright: float32 H×W in [0, 1].
        probability: float32 H×W in [0, 1], of a vessel at each pixel.
        fov: bool H×W.
    """
    floor = np.float32(_MIN_PROBABILITY)
    odds = np.log((probability + floor) / (1 - probability + floor))
    evidence = 0.5 + 0.5 * odds / np.float32(-np.log(floor))
    mixed = np.clip(evidence, 0, 1) + np.float32(_IMAGE_SHARE) * bright
    return _filtered(mixed.astype(np.float32), fov, _SHORT_LINE)


def _filtered(bright: Plane, fov: Mask, half_line: int) -> VesselMap:
    height, width = bright.shape
    half = cv2.resize(bright, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    fine, coarse = _line_responses(bright, half_line), _line_responses(half, half_line)
    strength = np.zeros_like(bright)
    double = np.zeros((2, height, width), np.float32)
    for k, angle in enumerate(_angles()):
        response = cv2.resize(coarse[k], (width, height), interpolation=cv2.INTER_LINEAR)
        cv2.max(fine[k], response, dst=response)
        cv2.max(strength, response, dst=strength)
        np.maximum(response, 0, out=response)
        for plane, part in zip(double, (np.cos(2 * angle), np.sin(2 * angle)), strict=True):
            cv2.scaleAdd(response, float(part), plane, dst=plane)
    side = 2 * _RIM + 1
    inner = cv2.erode(fov.astype(np.uint8), np.ones((side, side), np.uint8), borderValue=0) > 0
    strength *= inner
    top = np.percentile(strength[inner][::4], _TOP) if inner.any() else 1.0
    strength /= np.float32(max(float(top), _FAINTEST))
    double *= strength / np.maximum(np.hypot(double[0], double[1]), np.float32(1e-9))
    return VesselMap(strength, double, fov)


def _line_responses(bright: Plane, half_line: int) -> list[Plane]:
    """Response to a bright line in each direction."""
    smooth = cv2.GaussianBlur(bright, (0, 0), _SIGMA)
    second = [cv2.Sobel(smooth, cv2.CV_32F, *order, scale=0.25) for order in _ORDERS]
    flat = np.stack(second).reshape(len(_ORDERS), -1)
    across = (_across() @ flat).reshape(_DIRECTIONS, *bright.shape)
    if not half_line:
        return list(across)
    return [cv2.filter2D(a, cv2.CV_32F, _line(k, half_line)) for k, a in enumerate(across)]


@lru_cache
def _angles() -> Floats:
    return np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS


@lru_cache
def _across() -> Plane:
    """D×3: the second derivative across each direction, sign changed, from those of `_ORDERS`."""
    sin, cos = np.sin(_angles()), np.cos(_angles())
    return np.stack([-(sin**2), -(cos**2), 2 * sin * cos], 1).astype(np.float32)


@lru_cache
def _line(k: int, half_line: int) -> Plane:
    """A Gaussian along the k-th direction, one pixel wide, of sum 1."""
    angle = _angles()[k]
    y, x = np.mgrid[-half_line : half_line + 1, -half_line : half_line + 1]
    along = x * np.cos(angle) + y * np.sin(angle)
    across = -x * np.sin(angle) + y * np.cos(angle)
    kernel = np.maximum(1 - np.abs(across), 0) * np.exp(-0.5 * (along / (half_line / 1.7)) ** 2)
    return np.asarray(kernel / kernel.sum(), np.float32)
