"""The rows of a run folder's database."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from imedbench.core.errors import BadInput
from imedbench.core.transforms import Transform
from imedbench.core.types import MethodInfo, Outcome


@dataclass(frozen=True)
class Prediction:
    """What became of one pair under one method: always a row, also for a failure.

    Args:
        key: content hash of everything the answer depends on.
        method: spec of the method, ``name:option=value``.
        split: split of the pair.
        pair_id: id of the pair.
        outcome: what happened.
        reason: why it is not ``ok``.
        transform: what the method returned, also where that is degenerate.
        confidence: the method's own, in [0, 1].
        latency_ms: wall time of the call.
        timed_alone: whether no other worker ran meanwhile.
        stages: ms by stage.
        details: the diagnostics' numbers.
        swapped: whether it is the answer for the pair the other way round, which takes points of
            the fixed image to the moving one.
    """

    key: str
    method: str
    split: str
    pair_id: str
    outcome: Outcome
    reason: str = ""
    transform: Transform | None = None
    confidence: float | None = None
    latency_ms: float | None = None
    timed_alone: bool = True
    stages: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    swapped: bool = False


@dataclass(frozen=True)
class Score:
    """One metric of one prediction.

    Args:
        prediction: key of the prediction.
        metric: its name.
        version: the metric's.
        truth: hash of what it was computed from beside the prediction.
        value: None where the pair failed or the metric has no value.
        identity: what the same pair scores left as it is: what a failure is charged.
        reason: why an answered pair has no value, or the pair left as it is has none.
    """

    prediction: str
    metric: str
    version: str
    truth: str
    value: float | None
    identity: float | None
    reason: str = ""


@dataclass(frozen=True)
class PairHashes:
    """What a pair consists of, known from its files' fingerprint without reading them.

    Args:
        fingerprint: of the files, or of what the pair is made from.
        images: hash of what a method sees.
        truth: hash of that and of what is known of the pair.
        offers: what of it metrics may need, names apart by blanks.
        looks: perceptual hashes of the fixed and the moving image, apart by a blank.
    """

    fingerprint: str
    images: str
    truth: str
    offers: str
    looks: str


def read_info(text: str | None) -> MethodInfo | None:
    """Read the facts of a method from their JSON; None where there are none.

    Those that a later version has added are left out.

    Raises:
        BadInput: when they are damaged.
    """
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=MethodInfo)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadInput(f"the facts of a method in results.sqlite are damaged ({error})") from error


ROW_COLUMNS = [
    f.name for f in fields(Prediction) if f.name not in ("transform", "stages", "details")
]
