"""One call of a method, and what became of it: the only place where that is judged."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from imedbench.core.arrays import Mask, Pixels
from imedbench.core.errors import ContractError, Declined, ProgramFault
from imedbench.core.randomness import seed_everything
from imedbench.core.stages import Clock, WallClock, collect_stages
from imedbench.core.text import as_text
from imedbench.core.transforms import Transform
from imedbench.core.types import Diagnostics, Image, Matches, Method, Outcome, Registration
from imedbench.runs.plugin_source import MAX_TRACE, describe, write_trace
from imedbench.runs.validity import check_transform, own_kind

TRACEBACK = "traceback"  # name of the detail that holds a crash's
MAX_DETAILS = 1000  # values; a row is read whole for every table
MAX_PICTURE = 1 << 27  # values: three channels of a picture of 6,500×6,500 px


@dataclass(frozen=True)
class Task:
    """One call of a method: what it may see, and the seed of its random numbers."""

    fixed: Image
    moving: Image
    seed: int

    def swapped(self) -> Task:
        """Return the same pair the other way round."""
        return Task(self.moving, self.fixed, self.seed)


@dataclass(frozen=True)
class CallResult:
    """What came of a task, in plain checked types: nothing in it is a plugin's own.

    Args:
        outcome: judged; a transform that cannot be right is ``degenerate``.
        reason: why it is not ``ok``, on one line.
        transform: what the method found, also where that is degenerate.
        confidence: the method's own, in [0, 1].
        latency_ms: wall time of the call, also of one that raised.
        stages: ms by stage.
        details: numbers and words that the method wants stored.
        pictures: PNG files by name.
        matches: the content of an ``.npz`` file; empty for none.
    """

    outcome: Outcome
    reason: str = ""
    transform: Transform | None = None
    confidence: float | None = None
    latency_ms: float | None = None
    stages: dict[str, float] = field(default_factory=dict)
    details: dict[str, bool | int | float | str] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    matches: bytes = b""


def call_method(
    method: Method,
    task: Task,
    *,
    synchronise: Callable[[], object] = lambda: None,
    wall: Clock[int] | None = None,
    stage_clock: Clock[Any] | None = None,
) -> CallResult:
    """Call a method once, timed, and judge whatever happens.

    Args:
        method: set up already.
        task: the pair and the seed.
        synchronise: returns when the device has done all its work.
        wall: the host's clock.
        stage_clock: marks the stages; the host's clock by default.
    """
    wall = wall or WallClock()
    seed_everything(task.seed)
    synchronise()  # nothing of an earlier call may still run
    answer: Any = None
    with collect_stages(stage_clock) as times:
        start = wall.mark()
        try:
            answer = method.register(task.fixed, task.moving)
            synchronise()
        except Exception as error:
            answer = error
        latency_ms = wall.milliseconds(start, wall.mark())
    if isinstance(answer, Exception):
        result = failed_call(answer)
    else:
        result = judge(answer, task.fixed, task.moving)
    stages = {as_text(name): float(ms) for name, ms in times.milliseconds.items()}
    return replace(result, latency_ms=float(latency_ms), stages=stages)


def failed_call(error: BaseException, doing: str = "") -> CallResult:
    """Say what became of a call that raised; a crash keeps its traceback in the details.

    Args:
        error: what it raised.
        doing: what failed, if not the call itself.
    """
    if isinstance(error, Declined):
        return CallResult(Outcome.SKIPPED, as_text(error))
    if isinstance(error, ProgramFault):  # which of our lines noticed it says nothing
        trace = {TRACEBACK: error.trace[-MAX_TRACE:]} if error.trace else {}
        return CallResult(Outcome.CRASH, as_text(error), details=dict(trace))
    outcome = Outcome.OUT_OF_MEMORY if _lacks_memory(error) else Outcome.CRASH
    reason = as_text(f"{doing} {describe(error)}" if doing else describe(error))
    return CallResult(outcome, reason, details={TRACEBACK: write_trace(error)})


def judge(answer: Any, fixed: Image, moving: Image) -> CallResult:
    """Check what a method returned and put it into plain types.

    A transform of a plugin's own kind becomes one of imedbench's that does the same: what is stored
    can be read where the plugin is not, and no code of a plugin runs where rows are stored.

    Args:
        answer: anything at all.
        fixed: the image whose frame is kept.
        moving: the image that was aligned to it.
    """
    if not isinstance(answer, Registration):
        return CallResult(Outcome.CRASH, f"it returned {type(answer).__name__}, not a Registration")
    transform, outcome, reason = None, Outcome.NO_TRANSFORM, as_text(answer.reason)
    if answer.fixed_from_moving is not None:
        try:
            transform = own_kind(answer.fixed_from_moving, moving.shape)
            outcome, reason = check_transform(transform, fixed.shape, moving.shape)
        except Exception as error:
            return failed_call(error, "its transform raised")
    try:
        return _with_diagnostics(
            CallResult(outcome, reason, transform, _confidence(answer)), answer.diagnostics
        )
    except Exception as error:
        return failed_call(error, "its answer cannot be stored:")


def _confidence(answer: Registration) -> float | None:
    return None if answer.confidence is None else float(answer.confidence)


def _with_diagnostics(result: CallResult, shown: Any) -> CallResult:
    if not isinstance(shown, Diagnostics):
        raise ContractError(f"diagnostics must be Diagnostics, they are a {type(shown).__name__}")
    # Built anew, for a plugin may have put in afterwards what the constructor refuses.
    checked = Diagnostics(shown.matches, dict(shown.images), dict(shown.values))
    if len(checked.values) > MAX_DETAILS or len(checked.images) > MAX_DETAILS:
        raise ContractError(f"more than {MAX_DETAILS} diagnostic values or pictures")
    for name, picture in checked.images.items():
        if picture.size > MAX_PICTURE or len(name) > 100:
            raise ContractError(f"picture {name[:100]!r} is too large or its name too long")
    return replace(
        result,
        details={as_text(name): _detail(value) for name, value in checked.values.items()},
        pictures={name: _png(picture) for name, picture in checked.images.items()},
        matches=b"" if checked.matches is None else _encode_matches(checked.matches),
    )


def _detail(value: Any) -> bool | int | float | str:
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return float(value)
    plain: bool | int | float = value
    return plain


def _png(picture: Pixels | Mask) -> bytes:
    import cv2

    grey_or_bgr = picture[..., ::-1] if picture.ndim == 3 else picture
    levels = np.uint8(255) if picture.dtype == np.bool_ else np.uint8(1)
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(grey_or_bgr).astype(np.uint8) * levels)
    return encoded.tobytes()


def _encode_matches(matches: Matches) -> bytes:
    if not isinstance(matches, Matches):
        raise ContractError(f"matches must be Matches, they are a {type(matches).__name__}")
    arrays: Mapping[str, Any] = {
        name: np.asarray(getattr(matches, name)) for name in ("moving", "fixed", "inliers")
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _lacks_memory(error: BaseException) -> bool:
    """Whether an allocator refused: Python's and NumPy's, torch's by name, OpenCV's by its code."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = as_text(error)
    torch_cpu = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in text
    return torch_cpu or getattr(error, "code", None) == -4  # cv2.Error.StsNoMem
