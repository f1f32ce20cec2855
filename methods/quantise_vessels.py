"""Make the 8-bit model of a vessel network that `methods.vessel_openvino` runs.

Run with the extra ``fast`` and the images that the network was trained on::

    python -m imedbench.methods.quantise_vessels DATA

DATA holds the folders ``drive``, ``chasedb1`` and ``octa500_3m``, each with ``images/train``. The
first and the last convolution stay in floating point; the others have 8-bit weights, a scale for
each channel, and 8-bit inputs, whose range is that of the network on these images.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imedbench.core.errors import BadInput
from imedbench.core.images import read_image
from imedbench.methods import weights
from imedbench.methods.networks.unet import UNet
from imedbench.methods.onnx_export import Probability
from imedbench.methods.vessel import Network
from imedbench.methods.vessel_maps import working_image
from imedbench.methods.vessel_openvino import SOURCE, STEP, model_file, require_openvino

IMAGES = {"drive": 8, "chasedb1": 8, "octa500_3m": 12}  # how many of each training set are shown
SIDE = 512  # px
WITHIN = 0.9999  # share of an input's values that its range holds


class QuantisedConv(nn.Module):
    """A convolution whose input and weights are rounded to 8 bits.

    Args:
        conv: the convolution.
        top: largest value of its input, which is never negative.
    """

    def __init__(self, conv: nn.Conv2d, top: float) -> None:
        super().__init__()
        self.conv, self.scale = conv, top / 255
        self.weight_scale = (conv.weight.abs().amax((1, 2, 3)) / 127).clamp(min=1e-8)
        self.zero = torch.zeros(len(self.weight_scale), dtype=torch.int32)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve what is left after rounding."""
        x = torch.fake_quantize_per_tensor_affine(x, self.scale, 0, 0, 255)
        weight = torch.fake_quantize_per_channel_affine(
            self.conv.weight, self.weight_scale, self.zero, 0, -127, 127
        )
        return F.conv2d(x, weight, self.conv.bias, padding=1)


def training_images(data: Path) -> Iterator[Tensor]:
    """Images as the network sees them, 1×1×H×W.

    Raises:
        BadInput: when a folder has none.
    """
    for name, count in IMAGES.items():
        files = sorted((data / name / "images" / "train").glob("*.png"))[:count]
        if not files:
            raise BadInput(f"{data / name}: no images/train/*.png to calibrate on")
        for file in files:
            image = read_image(file)
            view = working_image(image, min(2.0, SIDE / max(image.size)))
            yield torch.from_numpy(view.bright)[None, None]


def input_ranges(net: nn.Module, images: Iterator[Tensor]) -> dict[str, float]:
    """Largest input of every convolution, by its name, outliers left out."""
    tops: dict[str, float] = {}

    def watch(name: str, conv: nn.Conv2d) -> None:
        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            top = float(torch.quantile(inputs[0].flatten()[::7], WITHIN))
            tops[name] = max(tops.get(name, 0.0), top)

        conv.register_forward_pre_hook(note)

    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            watch(name, module)
    with torch.inference_mode():
        for image in images:
            net(image)
    return tops


def quantised(net: UNet, tops: Mapping[str, float]) -> UNet:
    """Round all convolutions of a network but the first and the last."""
    out = copy.deepcopy(net)
    for name in list(tops)[1:-1]:
        parent, _, own = name.rpartition(".")
        block = out.get_submodule(parent)
        conv = block.get_submodule(own)
        assert isinstance(conv, nn.Conv2d)
        setattr(block, own, QuantisedConv(conv, tops[name]))
    return out


def main() -> None:
    """Write the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--network", choices=get_args(Network), default=get_args(Network)[0])
    options = parser.parse_args()
    require_openvino()
    import openvino

    net = weights.load(options.network)
    assert isinstance(net, UNet)
    folded = net.folded()
    tops = input_ranges(copy.deepcopy(folded), training_images(options.data))
    rounded = Probability(quantised(folded, tops)).eval()
    model = openvino.convert_model(rounded, example_input=torch.zeros(1, 1, 4 * STEP, 4 * STEP))
    model.set_rt_info(weights.read_card(options.network).sha256, SOURCE)
    out = model_file(options.network)
    openvino.save_model(model, out)
    print(f"wrote {out} and {out.with_suffix('.bin').name}")


if __name__ == "__main__":
    main()
