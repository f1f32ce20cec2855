"""The options of finding vessels: by the trained network, or by filters alone."""

from __future__ import annotations

import torch

from imedbench.core.errors import BadInput
from imedbench.methods import weights
from imedbench.methods.imed.frame import View
from imedbench.methods.imed.maps import Plane, VesselMap, evidence_map, oriented_map, ridge_map
from imedbench.methods.imed.options import Segmentation
from imedbench.methods.networks.unet import UNet


class Segmenter:
    """Finds vessels.

    Args:
        kind: ``unet``, the trained network; ``oriented``, elongated filters; ``ridge``, plain
            second derivatives.
        network: name of the shipped weights.
        device: where the network runs.
    """

    def __init__(self, kind: Segmentation, network: str, device: str = "cpu") -> None:
        self.kind = kind
        self._device = torch.device(device)
        # Half as long in bfloat16, but only where the processor has it.
        self._dtype = torch.bfloat16 if _fast_bfloat16(self._device) else torch.float32
        self._net: UNet | None = None
        if kind == "unet":
            net = weights.load(network)
            if not isinstance(net, UNet):
                raise BadInput(f"the weights {network!r} are not those of a U-Net")
            self._net = net.folded().to(self._device, self._dtype)

    def __call__(self, view: View) -> VesselMap:
        """The vessel map of an image in its working frame."""
        if self._net is None:
            find = oriented_map if self.kind == "oriented" else ridge_map
            return find(view.bright, view.fov)
        return evidence_map(view.bright, self.probability(view), view.fov)

    def probability(self, view: View) -> Plane:
        """How likely the network holds each pixel for a vessel, float32 H×W in [0, 1].

        Raises:
            BadInput: when vessels are found by filters.
        """
        if self._net is None:
            raise BadInput(f"the filters of segmentation={self.kind} give no probabilities")
        with torch.inference_mode():
            image = torch.from_numpy(view.bright)[None, None].to(self._device, self._dtype)
            logits = self._net(image.contiguous(memory_format=torch.channels_last))
            likely: Plane = torch.sigmoid(logits[0, 0].float()).cpu().numpy()
        return likely


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported()
