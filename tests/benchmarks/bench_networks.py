"""Time of the learned parts on one CPU thread."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from imedbench.core.field_of_view import field_of_view
from imedbench.core.polarity import normalise
from imedbench.methods import weights
from imedbench.methods.networks.arbicon import ArbiconNet
from imedbench.methods.networks.cyclegan import Generator
from imedbench.methods.networks.unet import UNet


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("size", [256, 512])
def test_vessel_segmentation(benchmark: BenchmarkFixture, size: int) -> None:
    net = weights.load("vessels")
    assert isinstance(net, UNet)
    folded, image = net.folded(), torch.rand(1, 1, size, size)
    with torch.inference_mode():
        benchmark(folded, image)


@pytest.mark.parametrize("size", [256, 512])
def test_modality_transfer(benchmark: BenchmarkFixture, size: int) -> None:
    net, image = Generator(width=12, blocks=4).eval(), torch.rand(1, 1, size, size)
    with torch.inference_mode():
        benchmark(net, image)


def test_arbicon(benchmark: BenchmarkFixture) -> None:
    net = ArbiconNet((8, 16, 32, 64, 128), grid=11, descriptor=128, consensus=(4, 4)).eval()
    image = torch.rand(1, 1, net.size, net.size)
    with torch.inference_mode():
        benchmark(net, image, image)


def test_normalisation(benchmark: BenchmarkFixture) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (512, 512), np.uint8)
    benchmark(lambda: normalise(grey, field_of_view(grey)))
