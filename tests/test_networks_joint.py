"""The joint network: what is frozen, what is shared."""

from __future__ import annotations

import torch

from imedbench.methods.networks.joint import JointNetwork


def small_network(generator_width: int = 2) -> JointNetwork:
    torch.manual_seed(0)
    return JointNetwork(
        widths=(2, 4, 4),
        grid=11,
        descriptor=8,
        consensus=(2,),
        generator_width=generator_width,
        generator_blocks=1,
    )


def test_shapes() -> None:
    net = small_network().eval()
    assert net.size == 44
    output = net(torch.rand(2, 1, 44, 44), torch.rand(2, 1, 44, 44))
    assert output.source_logits.shape == output.target_logits.shape == (2, 1, 44, 44)
    assert output.warp.affine.shape == (2, 2, 3)


def test_the_modality_transformer_never_trains() -> None:
    net = small_network().train()
    assert net.transformer is not None
    assert not net.transformer.training
    assert net.unet.training
    output = net(torch.rand(2, 1, 44, 44), torch.rand(2, 1, 44, 44))
    (output.source_logits.sum() + output.warp.affine.sum()).backward()
    assert all(p.grad is None for p in net.transformer.parameters())


def test_both_heads_train_the_one_encoder() -> None:
    for head in ("segmentation", "registration"):
        net = small_network().train()
        output = net(torch.rand(2, 1, 44, 44), torch.rand(2, 1, 44, 44))
        loss = output.target_logits if head == "segmentation" else output.warp.affine
        loss.square().sum().backward()
        gradient = net.unet.down[0].conv1.weight.grad
        assert gradient is not None
        assert gradient.abs().sum() > 0


def test_without_a_transformer_there_is_none() -> None:
    assert small_network(generator_width=0).transformer is None


def test_the_warp_alone_is_the_warp_of_the_whole() -> None:
    net = small_network().eval()
    source, target = torch.rand(2, 1, 44, 44), torch.rand(2, 1, 44, 44)
    points = torch.rand(2, 5, 2)
    torch.testing.assert_close(
        net.register(source, target).source_from_target(points),
        net(source, target).warp.source_from_target(points),
    )
