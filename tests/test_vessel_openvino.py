"""The vessel network in 8 bits: as good as in torch, and plain about what it lacks."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from imedbench.core.errors import BadInput, Declined
from imedbench.core.types import ImagePair
from imedbench.datasets.synthetic.pairs import make_pair
from imedbench.methods import quantise_vessels, vessel_openvino, weights
from imedbench.methods.imed.method import Imed, ImedFast
from imedbench.methods.networks.unet import UNet, VesselLines, VesselNetwork
from imedbench.methods.vessel import Network
from imedbench.methods.vessel_maps import Segmenter
from imedbench.methods.working_images import working_image

installed = pytest.mark.skipif(
    vessel_openvino.find_spec("openvino") is None, reason="needs the extra `fast` (openvino)"
)


@pytest.fixture(scope="module")
def pair() -> ImagePair:
    return make_pair(4, "imed", size=320)


@installed
@pytest.mark.parametrize("network", get_args(Network))
def test_maps_are_those_of_torch(pair: ImagePair, network: Network) -> None:
    view = working_image(pair.moving, 0.9)  # sides that are no multiples of 16
    rounded, exact = (
        Segmenter("unet", network=network, runtime=runtime)(view)
        for runtime in ("openvino", "torch")
    )
    assert rounded.strength.shape == exact.strength.shape == view.bright.shape
    for ours, theirs in zip(rounded.double_angle, exact.double_angle, strict=True):
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99
    assert 0 < np.abs(rounded.strength - exact.strength).mean() < 0.03


@installed
@pytest.mark.parametrize("kind", [Imed, ImedFast])
def test_the_answer_hardly_moves_and_is_the_same_twice(kind: type[Imed], pair: ImagePair) -> None:
    placed = []
    for runtime in ("torch", "openvino", "openvino"):
        method = kind(size=320, rotation="narrow", runtime=runtime)  # type: ignore[arg-type]
        method.prepare("cpu")
        answer = method.register(pair.fixed, pair.moving).fixed_from_moving
        assert answer is not None
        placed.append(answer.apply(pair.truth.moving_points))
    assert 0 < np.linalg.norm(placed[1] - placed[0], axis=1).max() < 0.5
    np.testing.assert_array_equal(placed[1], placed[2])


@installed
def test_a_model_of_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(weights.read_card("vessels"), sha256="0" * 64)
    monkeypatch.setattr(weights, "read_card", lambda _: other)
    with pytest.raises(BadInput, match="made from other weights"):
        vessel_openvino.OpenVinoNetwork("vessels")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vessel_openvino, "find_spec", lambda _: None)
    with pytest.raises(Declined, match=r"pip install 'imedbench\[fast\]'"):
        Imed(runtime="openvino")
    assert Imed().runtime == "torch"


def test_rows_tell_the_rounded_network_from_the_exact_one() -> None:
    card = weights.read_card("vessel-lines")
    assert Imed().info.weights == card.sha256[:16]
    pytest.importorskip("openvino", reason="needs the extra `fast` (openvino)")
    assert Imed(runtime="openvino").info.weights == card.sha256[:16] + "-int8"
    assert not Imed(runtime="openvino").info.uses_cuda


@pytest.mark.parametrize("kind", [UNet, VesselLines])
def test_rounding_keeps_the_first_and_the_last_convolution_and_changes_little(
    kind: type[VesselNetwork],
) -> None:
    torch.manual_seed(0)
    net = kind(widths=(4, 8, 8)).folded()
    images = [torch.rand(1, 1, 32, 48) for _ in range(3)]
    ranges = quantise_vessels.input_ranges(net, iter(images))
    rounded = quantise_vessels.quantised(net, ranges)
    kept = [
        name
        for name, module in rounded.named_modules()
        if isinstance(module, torch.nn.Conv2d) and not name.endswith(".conv")
    ]
    assert kept == ["down.0.conv1", "head"]
    exact, other = net(images[0]), rounded(images[0])
    assert 0 < float((exact - other).abs().mean()) < 0.05 * float(exact.std())
