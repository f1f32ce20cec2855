"""Generators and discriminators of CycleGAN."""

from __future__ import annotations

import torch

from imedbench.methods.networks.cyclegan import Generator, PatchDiscriminator


def test_generator_keeps_the_size_and_stays_in_range() -> None:
    torch.manual_seed(0)
    output = Generator(width=4, blocks=2)(torch.rand(2, 1, 32, 48) * 2 - 1)
    assert output.shape == (2, 1, 32, 48)
    assert output.abs().max() <= 1


def test_generator_can_change_the_number_of_channels() -> None:
    output = Generator(width=2, blocks=1, in_channels=3, out_channels=1)(torch.rand(1, 3, 16, 16))
    assert output.shape == (1, 1, 16, 16)


def test_a_verdict_sees_exactly_70_by_70_px() -> None:
    """PatchGAN 70×70: counted on the convolutions alone, as normalisation sees everything."""
    net = PatchDiscriminator(width=1)
    for module in net.modules():
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.forward = lambda x: x  # type: ignore[method-assign]
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.ones_(module.weight)
    image = torch.ones(1, 1, 256, 256, requires_grad=True)
    verdict = net(image)
    verdict[0, 0, 15, 15].backward()
    assert image.grad is not None
    rows, columns = torch.nonzero(image.grad[0, 0], as_tuple=True)
    assert rows.max() - rows.min() + 1 == 70
    assert columns.max() - columns.min() + 1 == 70


def test_a_verdict_for_every_eighth_pixel() -> None:
    assert PatchDiscriminator(width=2)(torch.rand(1, 1, 256, 128)).shape == (1, 1, 30, 14)


def test_weights_start_with_deviation_0_02() -> None:
    torch.manual_seed(0)
    weights = torch.cat(
        [p.flatten() for n, p in Generator(8, 2).named_parameters() if "weight" in n]
    )
    assert 0.019 < weights.std() < 0.021
