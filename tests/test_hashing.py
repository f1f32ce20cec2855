"""Keys and hashes: what changes them and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imedbench.core.transforms import Affine
from imedbench.core.types import GroundTruth, Image, ImagePair
from imedbench.runs.hashing import pair_hash, prediction_key, seed_for, truth_hash

PIXELS = np.arange(48, dtype=np.uint8).reshape(6, 8)
POINTS = np.array([[1.0, 2.0], [3.0, 4.0]])
TRUTH = GroundTruth(moving_points=POINTS, fixed_points=POINTS + 1, spacing_um=5.0)
PAIR = ImagePair("p", Image(PIXELS, "cf"), Image(PIXELS.T.copy(), "octa"), TRUTH, "eye")
KEY: dict[str, Any] = {
    "method": "sift",
    "code": "c",
    "weights": "w",
    "version": "1",
    "data": "d",
    "pair": "p",
    "seed": 0,
}


def changed(pixels: np.ndarray) -> np.ndarray:
    other = pixels.copy()
    other[0, 0] += 1
    return other


@pytest.mark.parametrize(
    "other",
    [
        replace(PAIR, pair_id="q"),
        replace(PAIR, fixed=Image(changed(PIXELS), "cf")),
        replace(PAIR, moving=Image(changed(PIXELS.T), "octa")),
        replace(PAIR, fixed=Image(PIXELS, "fa")),
        replace(PAIR, fixed=PAIR.moving, moving=PAIR.fixed),
        replace(PAIR, fixed=Image(PIXELS.reshape(8, 6), "cf")),
    ],
)
def test_whatever_a_method_sees_changes_the_pairs_hash(other: ImagePair) -> None:
    assert pair_hash(other) != pair_hash(PAIR)
    assert truth_hash(other) != truth_hash(PAIR)


def test_what_a_method_does_not_see_leaves_the_pairs_hash() -> None:
    other = replace(PAIR, truth=GroundTruth(), group="other", note="x", subset="train")
    assert pair_hash(other) == pair_hash(PAIR)
    strided = replace(PAIR, moving=Image(PIXELS.T, "octa"))
    assert pair_hash(strided) == pair_hash(PAIR), "the layout in memory is no content"


@pytest.mark.parametrize(
    "truth",
    [
        GroundTruth(),
        replace(TRUTH, fixed_points=POINTS),
        replace(TRUTH, spacing_um=6.0),
        replace(TRUTH, fixed_vessels=PIXELS > 9),
        replace(TRUTH, moving_vessels=PIXELS > 9),
        replace(TRUTH, fixed_from_moving=Affine.identity()),
    ],
)
def test_whatever_a_score_depends_on_changes_the_truths_hash(truth: GroundTruth) -> None:
    assert truth_hash(replace(PAIR, truth=truth)) != truth_hash(PAIR)


def test_masks_of_the_two_images_are_told_apart() -> None:
    mask = PIXELS > 9
    fixed, moving = (
        truth_hash(replace(PAIR, truth=GroundTruth(**{name: mask})))
        for name in ("fixed_vessels", "moving_vessels")
    )
    assert fixed != moving


@pytest.mark.parametrize("part", KEY)
def test_every_part_changes_a_predictions_key(part: str) -> None:
    other = prediction_key(**{**KEY, part: 1 if part == "seed" else "other"})
    assert other != prediction_key(**KEY)
    assert len(other) == 32


def test_parts_do_not_run_into_each_other() -> None:
    first = prediction_key(**{**KEY, "code": "ab", "weights": "c"})
    assert first != prediction_key(**{**KEY, "code": "a", "weights": "bc"})


@given(base=st.integers(0, 2**40), part=st.text())
def test_seeds_fit_every_generator(base: int, part: str) -> None:
    seed = seed_for(base, part)
    assert 0 <= seed < 2**31
    assert seed == seed_for(base, part)


def test_seeds_differ_by_base_pair_and_split() -> None:
    seeds = {seed_for(b, s, p) for b in (0, 1) for s in ("a", "b") for p in ("x", "y")}
    assert len(seeds) == 8
