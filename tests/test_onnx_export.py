"""The vessel network as an ONNX file computes what it computes in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from imedbench.cli import app
from imedbench.core.errors import BadInput
from imedbench.methods import onnx_export, weights


def test_another_program_finds_the_same_vessels(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the extra `onnx`")
    openvino = pytest.importorskip("openvino", reason="needs the extra `fast` (openvino)")
    out = tmp_path / "vessels.onnx"
    arguments = ["export-network", "vessels", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    model = openvino.Core().compile_model(out, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    net = weights.load("vessels")
    for shape in ((1, 1, 96, 64), (2, 1, 32, 80)):
        image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected = torch.sigmoid(net(image)).numpy()
        found = next(iter(model(image.numpy()).values()))
        assert expected.std() > 1e-3
        np.testing.assert_allclose(found, expected, atol=1e-5)
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, BadInput)
    assert CliRunner().invoke(app, [*arguments, "--force"]).exit_code == 0


def test_other_networks_and_unknown_weights_are_refused() -> None:
    with pytest.raises(BadInput, match=r"superpoint-retina: a \w+; only vessel networks"):
        onnx_export.onnx_bytes("superpoint-retina")
    with pytest.raises(BadInput, match="no weights of that name"):
        onnx_export.onnx_bytes("nothing")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "find_spec", lambda _: None)
    with pytest.raises(BadInput, match=r"pip install 'imedbench\[onnx\]'"):
        onnx_export.onnx_bytes("vessels")
