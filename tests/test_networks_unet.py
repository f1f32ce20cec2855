"""The networks that find vessels: shapes, skip connections, folding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from imedbench.methods.networks.unet import ConvBlock, Encoder, UNet, VesselLines, VesselNetwork


@pytest.mark.parametrize("net", [UNet((2, 4, 8), out_channels=3), VesselLines((2, 4, 8))])
@pytest.mark.parametrize("size", [(32, 32), (30, 45), (17, 64)])
def test_output_has_the_size_of_the_image(size: tuple[int, int], net: VesselNetwork) -> None:
    assert net.eval()(torch.rand(2, 1, *size)).shape == (2, 3, *size)


def test_encoder_halves_the_resolution_at_every_level() -> None:
    features = Encoder((2, 4, 8)).encode(torch.rand(1, 1, 16, 24))
    assert [tuple(f.shape) for f in features] == [(1, 2, 16, 24), (1, 4, 8, 12), (1, 8, 4, 6)]


def test_lines_are_read_and_written_as_squares_of_pixels() -> None:
    torch.manual_seed(0)
    net, image = VesselLines(widths=(2, 4)).eval(), torch.rand(1, 1, 16, 24)
    places = [(row, column) for row in (0, 1) for column in (0, 1)]
    squares = torch.cat([image[..., row::2, column::2] for row, column in places], 1)
    fine = net.down[0](squares)
    join = net.up[0]
    coarse = nn.functional.interpolate(
        join.reduce(net.down[1](nn.functional.max_pool2d(fine, 2))), scale_factor=2, mode="bilinear"
    )
    found = net.head(torch.relu(join.norm(join.conv(coarse + fine))))
    for channel, (row, column) in enumerate(places):
        for plane in range(3):
            torch.testing.assert_close(
                net(image)[0, plane, row::2, column::2], found[0, 4 * plane + channel]
            )


def test_padding_does_not_reach_the_inside() -> None:
    torch.manual_seed(0)
    net = UNet(widths=(2, 4)).eval()
    image = torch.rand(1, 1, 40, 40)
    even, odd = net(image), net(image[..., :39])
    torch.testing.assert_close(odd[..., :28], even[..., :28])


def test_skip_connections_carry_single_pixels() -> None:
    torch.manual_seed(0)
    net = UNet(widths=(2, 4, 8)).eval()
    features = net.encode(torch.rand(1, 1, 16, 16))
    blind = [torch.zeros_like(features[0]), *features[1:]]
    assert not torch.allclose(net.decode(features), net.decode(blind))


@pytest.mark.parametrize("kind", [UNet, VesselLines])
def test_folded_copy_gives_the_same_map_and_leaves_the_original(kind: type[VesselNetwork]) -> None:
    torch.manual_seed(0)
    net = kind(widths=(2, 4, 8))
    for _ in range(3):  # running statistics away from their start
        net(torch.rand(4, 1, 32, 32) * 3)
    net.eval()
    image = torch.rand(1, 1, 32, 32)
    folded = net.folded()
    torch.testing.assert_close(folded(image), net(image), atol=1e-5, rtol=1e-4)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    assert not any(p.requires_grad for p in folded.parameters())


def test_conv_block_is_convolution_normalisation_relu_twice() -> None:
    block = ConvBlock(1, 3).eval()
    x = torch.rand(2, 1, 8, 8)
    by_hand = torch.relu(block.norm2(block.conv2(torch.relu(block.norm1(block.conv1(x))))))
    torch.testing.assert_close(block(x), by_hand)
