"""Networks run in bfloat16 only where the processor has it."""

from __future__ import annotations

import pytest
import torch

from imedbench.methods.precision import fast_bfloat16
from imedbench.methods.vessel_maps import Segmenter


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_vnni": True, "avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({}, False),
    ],
)
def test_a_processor_that_imitates_bfloat16_computes_in_float32(
    capabilities: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert fast_bfloat16("cpu") is expected
    dtype = torch.bfloat16 if expected else torch.float32
    assert next(Segmenter("unet")._net.parameters()).dtype is dtype  # type: ignore[union-attr]


def test_where_torch_does_not_tell_float32_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not fast_bfloat16("cpu")
