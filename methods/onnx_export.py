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
from imedbench.methods.networks.unet import UNet, VesselNetwork


class Unpadded(nn.Module):
    """A vessel network for images whose sides need no padding, a U-Net with a sigmoid after it.

    Args:
        net: folded, see `VesselNetwork.folded`.
    """

    def __init__(self, net: VesselNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        """Return probabilities or what `VesselLines` finds, B×1×H×W to B×C×H×W."""
        found = self.net.find(image)
        return torch.sigmoid(found) if isinstance(self.net, UNet) else found


def onnx_bytes(name: str) -> bytes:
    """Return a vessel network as the content of an ONNX file.

    Its input ``image`` is float32 B×1×H×W in [0, 1] with bright vessels on an even ground, H and W
    multiples of the network's step. Its output is ``probability``, of the same shape, or of
    `VesselLines` ``lines``, B×3×H×W.

    Args:
        name: of shipped weights, or the path of a ``.safetensors`` file.

    Raises:
        BadInput: when there are no such weights, they are of another network, or the package
            ``onnx`` is missing.
    """
    net = weights.load(*weights.find(name))
    if not isinstance(net, VesselNetwork):
        raise BadInput(f"{name}: a {type(net).__name__}; only vessel networks are exported")
    if find_spec("onnx") is None:
        raise BadInput("exporting needs one more package: pip install 'imedbench[onnx]'")
    sides = {0: "count", 2: "height", 3: "width"}
    output = "probability" if isinstance(net, UNet) else "lines"
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "network.onnx"
        # torch's newer exporter needs two more packages and fifty times as long.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            Unpadded(net.folded()).eval(),
            (torch.zeros(1, 1, 2 * net.step, 2 * net.step),),
            path,
            input_names=["image"],
            output_names=[output],
            dynamic_axes={"image": sides, output: sides},
            dynamo=False,
        )
        return path.read_bytes()
