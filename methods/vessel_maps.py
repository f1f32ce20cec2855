"""From an image to a map of its vessels: how vessel-like each pixel is, and which way they run.

The image comes in its working frame (`methods.working_images`); a network or filters find the
vessels there (`Segmenter`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import torch

from imedbench.core.arrays import Mask, Plane
from imedbench.core.errors import BadInput
from imedbench.methods import weights
from imedbench.methods.networks.unet import UNet, VesselNetwork
from imedbench.methods.precision import fast_bfloat16
from imedbench.methods.vessel import VESSEL_WEIGHTS
from imedbench.methods.vessel_filters import LONG_LINE, evidence_responses, line_responses
from imedbench.methods.working_images import WorkingImage

if TYPE_CHECKING:
    from imedbench.methods.vessel import Segmentation
    from imedbench.methods.vessel_openvino import OpenVinoNetwork

Runtime = Literal["torch", "openvino"]

_RIM = 4  # px inside the field of view that are not trusted
_TOP = 97  # percentile of the strength that counts as a clear vessel
_EVEN = 0.02  # of grey levels in [0, 1], whose deviation is 1/6 wherever an image shows anything
_FAINTEST = 0.01  # response that can be a clear vessel: an empty image must stay empty


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
