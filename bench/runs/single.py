"""One pair of somebody's own images under one method."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from imedbench.core.errors import BadInput, ImedbenchError
from imedbench.core.options import PluginSpec
from imedbench.core.registry import METHODS
from imedbench.core.transforms import Transform, to_dict
from imedbench.core.types import Image, Method, Outcome
from imedbench.runs.validity import check_transform
from imedbench.runs.worker import Task, call_method


@dataclass(frozen=True)
class SingleResult:
    """What a method made of one pair.

    Args:
        method: its spec.
        outcome: what happened; only ``ok`` gives something to look at.
        reason: why it is not ``ok``.
        fixed_from_moving: the transform, usable or not.
        confidence: the method's own, in [0, 1].
        latency_ms: wall time of the call, without set-up.
    """

    method: str
    outcome: Outcome
    reason: str
    fixed_from_moving: Transform | None
    confidence: float | None
    latency_ms: float | None

    def as_dict(self) -> dict[str, Any]:
        """The result for JSON, with the transform in both directions' terms."""
        transform = self.fixed_from_moving
        return {
            "method": self.method,
            "outcome": str(self.outcome),
            "reason": self.reason,
            "confidence": self.confidence,
            "latency_ms": self.latency_ms,
            "fixed_from_moving": to_dict(transform) if transform is not None else None,
        }


def _set_up(spec: str, device: str) -> Method:
    method: Method = METHODS.create(PluginSpec.parse(spec))
    try:
        method.prepare(device)
    except ImedbenchError:
        raise
    except Exception as error:
        raise BadInput(f"the method {spec!r} cannot be set up: {error!r}") from error
    return method


def register_pair(fixed: Image, moving: Image, spec: str, device: str = "cpu") -> SingleResult:
    """Run a method on two images, in this process.

    Args:
        fixed: the image whose frame is kept.
        moving: the image to align to it.
        spec: the method, ``name:option=value``.
        device: ``cpu`` or ``cuda``.

    Raises:
        BadInput: for an unknown method or option, or one that cannot be set up.
    """
    # What a method prints must not get into what the command prints.
    with redirect_stdout(sys.stderr):
        reply = call_method(_set_up(spec, device), Task(fixed, moving, seed=0), device)
    transform = reply.registration.fixed_from_moving if reply.registration else None
    outcome, reason = reply.outcome, reply.reason
    if transform is not None:
        outcome, reason = check_transform(transform, fixed.shape, moving.shape)
    return SingleResult(
        method=spec,
        outcome=outcome,
        reason=reason,
        fixed_from_moving=transform,
        confidence=reply.registration.confidence if reply.registration else None,
        latency_ms=reply.latency_ms,
    )
