"""Who is judged on what it was trained on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from imedbench.analysis.leaks import leak_warnings, seen_pairs
from imedbench.core.datasets import DatasetInfo, PairRef
from imedbench.core.images import read_image, write_image
from imedbench.core.perceptual import known_images, perceptual_hash
from imedbench.core.types import Image, MethodInfo

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
    assert [ref.pair_id for ref in seen_pairs(info(*trained_on), "imed", REFS, {})] == seen


def test_warnings_name_the_method_and_count_eyes() -> None:
    methods = {"clean": info("other"), "leaky": info("imed/train"), "absent": None}
    (warning,) = leak_warnings(methods, DatasetInfo("imed", "example"), REFS, {})
    assert warning.startswith("leaky was trained on 1 of the 2 eyes")


def eye(seed: int, size: int = 240) -> np.ndarray:
    """Smooth ground with lines on it, of one look a seed."""
    rng = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(rng.normal(size=(size, size)).astype(np.float32), (0, 0), 18)
    picture = 120 + 60 * ground / np.abs(ground).max()
    for _ in range(12):
        ends = rng.uniform(0, size, (3, 2)).astype(np.int32)
        cv2.polylines(picture, [ends], False, 60.0, 3, cv2.LINE_AA)
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_a_copy_is_known_in_another_size_and_compression(tmp_path: Path) -> None:
    known = [perceptual_hash(Image(eye(seed))) for seed in range(4)]
    smaller = cv2.resize(eye(1), (160, 160), interpolation=cv2.INTER_AREA)
    write_image(tmp_path / "copy.jpg", eye(2))
    copies = [perceptual_hash(Image(smaller)), perceptual_hash(read_image(tmp_path / "copy.jpg"))]
    others = [perceptual_hash(Image(eye(seed))) for seed in range(10, 14)]
    assert known_images(copies, known) == [True, True]
    assert known_images(others, known) == [False] * 4


def test_a_renamed_training_set_is_known_by_its_images() -> None:
    trained = MethodInfo(
        "m",
        "example",
        "affine",
        trained_on=("some/train",),
        training_images=(perceptual_hash(Image(eye(1))),),
    )
    looks = {
        ("multi-modal", "001"): [perceptual_hash(Image(eye(7)))],
        ("multi-modal", "003"): [perceptual_hash(Image(eye(8))), perceptual_hash(Image(eye(1)))],
    }
    assert [ref.pair_id for ref in seen_pairs(trained, "renamed", REFS, looks)] == ["003"]
    methods: dict[str, MethodInfo | None] = {"m": trained}
    (warning,) = leak_warnings(methods, DatasetInfo("renamed", "example"), REFS, looks)
    assert warning.startswith("m was trained on 1 of the 2 eyes")
