"""Who is judged on what it was trained on."""

from __future__ import annotations

import pytest

from imedbench.analysis.leaks import leak_warnings, seen_pairs
from imedbench.core.datasets import PairRef
from imedbench.core.types import MethodInfo

REFS = [
    PairRef("001", "multi-modal", "train", "eye-1", "cf", "octa"),
    PairRef("002", "multi-modal", "test", "eye-1", "cf", "octa"),  # the same eye, mirrored
    PairRef("003", "multi-modal", "test", "eye-2", "cf", "octa"),
]


def info(*trained_on: str) -> MethodInfo:
    return MethodInfo("m", "example", "affine", trained_on=trained_on)


@pytest.mark.parametrize(
    ("trained_on", "seen"),
    [
        ((), []),
        (("other/train",), []),
        (("imed/train",), ["001", "002"]),
        (("IMED",), ["001", "002", "003"]),
        (("imed/test",), ["001", "002", "003"]),
    ],
)
def test_pairs_of_trained_eyes_are_seen(trained_on: tuple[str, ...], seen: list[str]) -> None:
    assert [ref.pair_id for ref in seen_pairs(info(*trained_on), "imed", REFS)] == seen


def test_warnings_name_the_method_and_count_eyes() -> None:
    methods = {"clean": info("other"), "leaky": info("imed/train"), "absent": None}
    (warning,) = leak_warnings(methods, "imed", REFS)
    assert warning.startswith("leaky was trained on 1 of the 2 eyes")
