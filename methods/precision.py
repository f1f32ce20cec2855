"""In which precision a network is run."""

from __future__ import annotations

import torch

_UNITS = ("avx512_bf16", "amx_bf16")  # of x86 processors that multiply bfloat16 themselves


def fast_bfloat16(device: str) -> bool:
    """Tell whether convolutions in bfloat16 are faster there than in float32.

    A processor that has to imitate them takes two to three times as long instead.

    Args:
        device: ``cpu`` or ``cuda``.
    """
    if torch.device(device).type == "cpu":
        capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        return any(capabilities.get(unit, False) for unit in _UNITS)
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
