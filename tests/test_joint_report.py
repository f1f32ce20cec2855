"""The report's system: which image is transferred, which one the network takes for its source."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from imedbench.core.types import Image
from imedbench.methods import joint_report, weights
from imedbench.methods.networks.arbicon import Warp
from imedbench.methods.networks.joint import JointNetwork

SIZE = 44


class NoDisplacement(nn.Module):
    def forward(self, descriptor: Tensor, points: Tensor) -> Tensor:
        return torch.zeros_like(points)


class Known(JointNetwork):
    """Always finds that the source lies an eighth of the square to the right."""

    def __init__(self) -> None:
        super().__init__(
            widths=(2, 4, 4),
            grid=11,
            descriptor=8,
            consensus=(2,),
            generator_width=2,
            generator_blocks=1,
        )
        self.sources: list[Tensor] = []

    def register(self, source: Tensor, target: Tensor) -> Warp:
        self.sources.append(source)
        return Warp(
            affine=torch.tensor([[[1.0, 0.0, 0.25], [0.0, 1.0, 0.0]]]),
            descriptor=torch.zeros(1, 1),
            predictor=NoDisplacement(),  # type: ignore[arg-type]
            correlation=torch.zeros(1, 2, 2, 2, 2),
        )


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> joint_report.ReportJoint:
    torch.manual_seed(0)
    card = weights.Card(architecture="joint:JointNetwork", arguments={}, task="joint")
    monkeypatch.setattr(weights, "read_card", lambda name: card)
    monkeypatch.setattr(weights, "load", lambda name: Known().eval())
    found = joint_report.ReportJoint(transfer_size=64)
    found.prepare("cpu")
    return found


def picture(*, dark: bool) -> Image:
    """A lattice of thin vessels on grey ground, 160×160."""
    y, x = np.mgrid[:160, :160]
    lines = np.exp(-(((x % 30) - 15) ** 2) / 8) + np.exp(-(((y % 40) - 20) ** 2) / 8)
    return Image(np.clip(120 + (-60 if dark else 60) * lines, 0, 255).astype(np.uint8))


CF, OCTA = picture(dark=True), picture(dark=False)


@pytest.mark.parametrize(
    ("fixed", "moving", "transferred", "source"),
    [
        (CF, OCTA, {"fixed"}, "fixed"),
        (OCTA, CF, {"moving"}, "moving"),
        (CF, CF, {"fixed", "moving"}, "moving"),
        (OCTA, OCTA, set(), "moving"),
    ],
    ids=["cf-octa", "octa-cf", "cf-cf", "octa-octa"],
)
def test_roles(
    method: joint_report.ReportJoint,
    fixed: Image,
    moving: Image,
    transferred: set[str],
    source: str,
) -> None:
    answer = method.register(fixed, moving)
    fakes = {name for name in answer.diagnostics.images if name.startswith("fake")}
    assert fakes == {f"fake_octa_{side}" for side in transferred}
    assert answer.fixed_from_moving is not None
    # The source lies 20 of 160 px to the right of the target.
    expected = 60.0 if source == "fixed" else 20.0
    np.testing.assert_allclose(
        answer.fixed_from_moving.apply([[40.0, 30.0]]), [[expected, 30.0]], atol=1e-2
    )


def test_the_network_runs_as_often_as_it_is_told(method: joint_report.ReportJoint) -> None:
    method.passes = 3
    method.register(CF, OCTA)
    net = method._net
    assert isinstance(net, Known)
    assert len(net.sources) == 3
    assert net.sources[0].shape == (1, 1, SIZE, SIZE)
