"""Metrics that hang, die, lie and flood, each for one pair."""

from __future__ import annotations

import ctypes
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from imedbench.core.metrics import MetricInfo, RegisteredPair, register_metric


def _hang() -> None:
    time.sleep(3600)


def _segfault() -> None:
    ctypes.string_at(0)


def _eat() -> None:
    held = np.ones(400 << 20, np.uint8)
    time.sleep(3600)
    held.fill(0)


def _flood() -> float:
    sys.stdout.write("x" * (1 << 20))
    return 1.0


ACTS: dict[str, Callable[[], Any]] = {
    "metric-hang": _hang,
    "metric-segfault": _segfault,
    "metric-eat": _eat,
    "metric-exit": lambda: os._exit(0),
    "metric-leave": lambda: sys.exit("bye"),
    "metric-raise": lambda: {}["no such thing"],
    "metric-text": lambda: "good",
    "metric-none": lambda: None,
    "metric-array": lambda: np.zeros(3),
    "metric-infinite": lambda: float("inf"),
    "metric-flood": _flood,
}


@register_metric(MetricInfo("bad_metric", "does what the modality says"))
def bad_metric(case: RegisteredPair) -> Any:
    """Act by the fixed image's modality, when it is not the pair left as it is."""
    act = ACTS.get(case.views.pair.fixed.modality)
    moved = case.fixed_from_moving.apply([[0.0, 0.0]])[0, 0] != 0
    return act() if act and moved else 2.0


@register_metric(MetricInfo("drawn_metric", "draws a random number"))
def drawn_metric(case: RegisteredPair) -> float:
    """Draw from two generators."""
    return random.random() + float(np.random.rand())
