"""Methods that do what the fixed image's modality says, for tests of what a run survives."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import Any, Literal

import numpy as np

from imedbench.core.errors import Declined
from imedbench.core.methods import register_method
from imedbench.core.registry import METHODS
from imedbench.core.transforms import Affine, Homography
from imedbench.core.types import Diagnostics, Image, MethodInfo, Registration


class OwnMatrix(Affine):
    """An affine map with another class, and no name of its own."""


class OwnTransform(Affine):
    """A map that only this file knows: points move along x by the sine of a tenth of it."""

    kind = "own"

    def apply(self, points: Any) -> Any:
        """Shift points."""
        xy = np.asarray(points, float)
        return xy + np.column_stack([np.sin(xy[:, 0] / 10), np.zeros(len(xy))])


class BrokenTransform(OwnTransform):
    """A map that raises."""

    def apply(self, points: Any) -> Any:
        """Fail."""
        raise ZeroDivisionError("no map")


CALLS = 0


def _count(_: Image) -> Registration:
    global CALLS
    CALLS += 1
    return Registration.failed(f"call {CALLS}")


def _fail(_: Image) -> Registration:
    raise KeyError("no such thing")


def _decline(_: Image) -> Registration:
    raise Declined("not on a Sunday")


def _hang(_: Image) -> Registration:
    time.sleep(3600)
    return Registration(Affine.identity())


def _die(_: Image) -> Registration:
    os._exit(7)


def _segfault(_: Image) -> Registration:
    ctypes.string_at(0)
    return Registration(Affine.identity())


def _take_all_memory(_: Image) -> Registration:
    os.kill(os.getpid(), signal.SIGKILL)
    return Registration(Affine.identity())


def _memory_error(_: Image) -> Registration:
    raise MemoryError("cannot allocate 1 TiB")


def _calm_needed(_: Image) -> Registration:
    if "IMEDBENCH_TEST_CALM" not in os.environ:
        raise RuntimeError("not calm")
    return Registration(Affine.identity())


def _slow(_: Image) -> Registration:
    time.sleep(0.6)
    return Registration(Affine([[1, 0, 1], [0, 1, 0]]))


def _talk(_: Image) -> Registration:
    print("a method that prints")
    sys.stdout.flush()
    return Registration(Affine.identity())


def _random(_: Image) -> Registration:
    shift = np.random.rand()
    return Registration(Affine([[1, 0, shift], [0, 1, 0]]))


def _wander(_: Image) -> Registration:
    shift = np.random.default_rng().uniform(1, 2)  # no seed reaches it
    return Registration(Affine([[1, 0, shift], [0, 1, 0]]))


def _numpy_values(_: Image) -> Registration:
    values: Any = {"count": np.int64(3), "share": np.float32(0.5), "good": np.True_}
    return Registration(Affine.identity(), diagnostics=Diagnostics(values=values))


ACTS: dict[str, Any] = {
    "shift": lambda _: Registration(Affine([[1, 0, 2], [0, 1, 0]])),
    "give-up": lambda _: Registration.failed("nothing to hold on to"),
    "mirror": lambda image: Registration(Affine([[-1, 0, image.size[0] - 1], [0, 1, 0]])),
    "nan": lambda _: Registration(Homography(np.full((3, 3), np.nan))),
    "wrong-type": lambda _: np.eye(3),
    "matrix": lambda _: Registration(np.eye(3)),  # type: ignore[arg-type]
    "own-matrix": lambda _: Registration(OwnMatrix([[1, 0, 3], [0, 1, 0]])),
    "own-transform": lambda _: Registration(OwnTransform(np.eye(3))),
    "broken-transform": lambda _: Registration(BrokenTransform(np.eye(3))),
    "count": _count,
    "sure": lambda _: Registration(Affine.identity(), confidence=0.75),
    "unsendable": lambda _: Registration(
        Affine.identity(),
        diagnostics=Diagnostics(values={}, images={}, matches=lambda: None),  # type: ignore[arg-type]
    ),
    "raise": _fail,
    "decline": _decline,
    "hang": _hang,
    "exit": _die,
    "segfault": _segfault,
    "sigkill": _take_all_memory,
    "memory-error": _memory_error,
    "calm-needed": _calm_needed,
    "slow": _slow,
    "talk": _talk,
    "random": _random,
    "wander": _wander,
    "numpy-values": _numpy_values,
    "threads": lambda _: Registration.failed(os.environ["OMP_NUM_THREADS"]),
}


@register_method(MethodInfo("troublesome", "does what the modality says", "affine"))
def troublesome(fixed: Image, moving: Image, *, note: str = "") -> Registration:
    """Act by the fixed image's modality; shift where that names no act."""
    act = ACTS.get(fixed.modality, ACTS["shift"])
    return act(fixed)  # type: ignore[no-any-return]


@METHODS.register("unready")
class Unready:
    """Cannot be set up."""

    def __init__(
        self, *, how: Literal["decline", "refuse", "raise", "exit", "hang"] = "decline"
    ) -> None:
        self.how = how
        self.info = MethodInfo("unready", "cannot be set up", "affine")
        if how == "refuse":
            raise Declined("not built on this machine")

    def prepare(self, device: str) -> None:
        """Fail as asked."""
        if self.how == "decline":
            raise Declined("its weights are missing")
        if self.how == "raise":
            raise RuntimeError("broken weights")
        if self.how == "exit":
            os._exit(3)
        time.sleep(3600)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Never reached."""
        return Registration(Affine.identity())
