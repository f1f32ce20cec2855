"""From an image to a map of its vessels: how vessel-like each pixel is, and which way they run.

The image is brought to its working frame (`working_image`), then a network or filters find the
vessels there (`Segmenter`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import torch

from imedbench.core.arrays import Mask, Matrix, Pixels, Plane
from imedbench.core.errors import BadInput
from imedbench.core.polarity import field_of_view, normalise
from imedbench.core.resize import resize, resizing_matrix
from imedbench.core.types import Image
from imedbench.methods import weights
from imedbench.methods.networks.unet import UNet, VesselNetwork
from imedbench.methods.noise import suppress_noise
from imedbench.methods.precision import fast_bfloat16
from imedbench.methods.vessel import VESSEL_WEIGHTS
from imedbench.methods.vessel_filters import LONG_LINE, evidence_responses, line_responses

if TYPE_CHECKING:
    from imedbench.methods.vessel import Segmentation
    from imedbench.methods.vessel_openvino import OpenVinoNetwork

Runtime = Literal["torch", "openvino"]

_MAX_GROWTH = 2.0
_SMALL_FIELD = 0.72  # of an image's longer side: on training pairs larger ones gain nothing
_MARGIN = 8  # px round a small field of view, where its edge is told
_RIM = 4  # px inside the field of view that are not trusted
_TOP = 97  # percentile of the strength that counts as a clear vessel
_EVEN = 0.02  # of grey levels in [0, 1], whose deviation is 1/6 wherever an image shows anything
_FAINTEST = 0.01  # response that can be a clear vessel: an empty image must stay empty


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
        kind: ``unet``, a network; ``oriented``, elongated filters; ``ridge``, second derivatives.
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
        self._net: VesselNetwork | None = None
        if kind == "unet" and runtime == "openvino":
            from imedbench.methods.vessel_openvino import OpenVinoNetwork

            self._rounded = OpenVinoNetwork(network)
        elif kind == "unet":
            net = weights.load(network)
            if not isinstance(net, VesselNetwork):
                raise BadInput(f"the weights {network!r} are not those of a vessel network")
            self._net = net.folded().to(self._device, self._dtype)

    def __call__(self, view: WorkingImage) -> VesselMap:
        """The vessel map of an image in its working frame."""
        if self.kind != "unet":
            find = oriented_map if self.kind == "oriented" else ridge_map
            return find(view.bright, view.fov)
        found = self._found(view)
        if len(found) == 1:
            return evidence_map(view.bright, found[0], view.fov)
        found[0] = np.maximum(found[0], 0) * _uneven(view.bright)
        return level(found, view.fov)

    def probability(self, view: WorkingImage) -> Plane:
        """Say how likely the network holds each pixel for a vessel, float32 H×W in [0, 1].

        Raises:
            BadInput: when vessels are found by filters, or the network finds lines.
        """
        if self.kind != "unet":
            raise BadInput(f"the filters of segmentation={self.kind} give no probabilities")
        found = self._found(view)
        if len(found) > 1:
            raise BadInput("this network finds lines and gives no probabilities")
        return found[0]

    def _found(self, view: WorkingImage) -> Plane:
        """What the network finds: probabilities 1×H×W, or responses 3×H×W."""
        if self._rounded is not None:
            return self._rounded(view.bright)
        assert self._net is not None
        with torch.inference_mode():
            image = torch.from_numpy(view.bright)[None, None].to(self._device, self._dtype)
            found = self._net(image.contiguous(memory_format=torch.channels_last)).float()
            if isinstance(self._net, UNet):
                found = torch.sigmoid(found)
            planes: Plane = found[0].contiguous().cpu().numpy()
        return planes


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
    return level(line_responses(bright, 0), fov)


def oriented_map(bright: Plane, fov: Mask) -> VesselMap:
    """Elongated second-derivative filters at two scales, the strongest direction kept.

    Args:
        bright: float32 H×W in [0, 1], vessels bright on an even ground (`polarity.normalise`).
        fov: bool H×W.
    """
    return level(line_responses(bright, LONG_LINE), fov)


def evidence_map(bright: Plane, probability: Plane, fov: Mask) -> VesselMap:
    """Return a network's evidence and a share of the image, through the same filters.

    Args:
        bright: float32 H×W in [0, 1].
        probability: float32 H×W in [0, 1], of a vessel at each pixel.
        fov: bool H×W.
    """
    return level(evidence_responses(bright, probability), fov)


def level(responses: Plane, fov: Mask) -> VesselMap:
    """Bring responses to a common level inside the field of view.

    Args:
        responses: float32 3×H×W, overwritten: strength ≥ 0, and a double angle of any length.
        fov: bool H×W.
    """
    strength, double = responses[0], responses[1:]
    side = 2 * _RIM + 1
    inner = cv2.erode(fov.astype(np.uint8), np.ones((side, side), np.uint8), borderValue=0) > 0
    strength *= inner
    top = np.percentile(strength[inner][::4], _TOP) if inner.any() else 1.0
    strength /= np.float32(max(float(top), _FAINTEST))
    double *= strength / np.maximum(cv2.magnitude(*double), np.float32(1e-9))
    return VesselMap(strength, double, fov)


def _uneven(bright: Plane) -> Mask:
    """Where an image shows anything: on an even grey, a network guesses at what it cannot see."""
    near = np.ones((2 * _RIM + 1,) * 2, np.uint8)
    return np.asarray(cv2.morphologyEx(bright, cv2.MORPH_GRADIENT, near) > _EVEN)
