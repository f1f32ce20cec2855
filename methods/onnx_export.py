"""Write a vessel network as an ONNX file, for other programs and devices to run."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from imedbench.core.errors import BadInput
from imedbench.methods import weights
from imedbench.methods.networks.unet import UNet


class Probability(nn.Module):
    """A U-Net with a sigmoid, for images whose sides need no padding.

    Args:
        net: folded, see `UNet.folded`.
    """

    def __init__(self, net: UNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        """Say how likely each pixel is a vessel, B×1×H×W to the same."""
        return torch.sigmoid(self.net.decode(self.net.encode(image)))


def onnx_bytes(name: str) -> bytes:
    """Return a vessel network as the content of an ONNX file.

    Its input ``image`` is float32 B×1×H×W in [0, 1] with bright vessels on an even ground, H and W
    multiples of the network's step; its output ``probability`` has the same shape.

    Args:
        name: of shipped weights, or the path of a ``.safetensors`` file.

    Raises:
        BadInput: when there are no such weights, they are of another network, or the package
            ``onnx`` is missing.
    """
    net = weights.load(*weights.find(name))
    if not isinstance(net, UNet):
        raise BadInput(f"{name}: a {type(net).__name__}; only vessel networks (UNet) are exported")
    if find_spec("onnx") is None:
        raise BadInput("exporting needs one more package: pip install 'imedbench[onnx]'")
    sides = {0: "count", 2: "height", 3: "width"}
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "network.onnx"
        # torch's newer exporter needs two more packages and fifty times as long.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            Probability(net.folded()).eval(),
            (torch.zeros(1, 1, 2 * net.step, 2 * net.step),),
            path,
            input_names=["image"],
            output_names=["probability"],
            dynamic_axes={"image": sides, "probability": sides},
            dynamo=False,
        )
        return path.read_bytes()
