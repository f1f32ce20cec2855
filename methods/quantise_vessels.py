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
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imedbench.core.errors import BadInput
from imedbench.core.images import read_image
from imedbench.methods import weights
from imedbench.methods.networks.unet import Net, VesselNetwork
from imedbench.methods.onnx_export import Unpadded
from imedbench.methods.vessel import Network
from imedbench.methods.vessel_openvino import SOURCE, STEP, model_file, require_openvino
from imedbench.methods.working_images import working_image

IMAGES = {"drive": 8, "chasedb1": 8, "octa500_3m": 12}  # how many of each training set are shown
SIDE = 512  # px
WITHIN = 0.9999  # share of an input's values that its range holds


@dataclass(frozen=True)
class Range:
    """Least and largest value of a convolution's input; 0 lies between them."""

    least: float
    largest: float


class QuantisedConv(nn.Module):
    """A convolution whose input and weights are rounded to 8 bits.

    Args:
        conv: the convolution.
        inputs: range of its input.
    """

    def __init__(self, conv: nn.Conv2d, inputs: Range) -> None:
        super().__init__()
        self.conv, self.scale = conv, (inputs.largest - inputs.least) / 255
        self.input_zero = round(-inputs.least / self.scale)
        self.weight_scale = (conv.weight.abs().amax((1, 2, 3)) / 127).clamp(min=1e-8)
        self.zero = torch.zeros(len(self.weight_scale), dtype=torch.int32)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve what is left after rounding."""
        x = torch.fake_quantize_per_tensor_affine(x, self.scale, self.input_zero, 0, 255)
        weight = torch.fake_quantize_per_channel_affine(
            self.conv.weight, self.weight_scale, self.zero, 0, -127, 127
        )
        return F.conv2d(x, weight, self.conv.bias, padding=self.conv.padding)


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


def input_ranges(net: nn.Module, images: Iterator[Tensor]) -> dict[str, Range]:
    """Range of the input of every convolution, by its name, outliers left out."""
    ranges: dict[str, Range] = {}

    def watch(name: str, conv: nn.Conv2d) -> None:
        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            some = inputs[0].flatten()[::7]
            least, largest = (float(torch.quantile(some, q)) for q in (1 - WITHIN, WITHIN))
            before = ranges.get(name, Range(0.0, 0.0))
            ranges[name] = Range(min(before.least, least), max(before.largest, largest))

        conv.register_forward_pre_hook(note)

    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            watch(name, module)
    with torch.inference_mode():
        for image in images:
            net(image)
    return ranges


def quantised(net: Net, ranges: Mapping[str, Range]) -> Net:
    """Round all convolutions of a network but the first and the last."""
    out = copy.deepcopy(net)
    for name in list(ranges)[1:-1]:
        parent, _, own = name.rpartition(".")
        block = out.get_submodule(parent)
        conv = block.get_submodule(own)
        assert isinstance(conv, nn.Conv2d)
        setattr(block, own, QuantisedConv(conv, ranges[name]))
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
    assert isinstance(net, VesselNetwork)
    folded = net.folded()
    ranges = input_ranges(copy.deepcopy(folded), training_images(options.data))
    rounded = Unpadded(quantised(folded, ranges)).eval()
    model = openvino.convert_model(rounded, example_input=torch.zeros(1, 1, 4 * STEP, 4 * STEP))
    model.set_rt_info(weights.read_card(options.network).sha256, SOURCE)
    out = model_file(options.network)
    openvino.save_model(model, out)
    print(f"wrote {out} and {out.with_suffix('.bin').name}")


if __name__ == "__main__":
    main()
