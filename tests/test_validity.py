"""What counts as a usable transform."""

from __future__ import annotations

import numpy as np
import pytest

from imedbench.core.transforms import (
    Affine,
    DenseField,
    Homography,
    Quadratic,
    ThinPlateSpline,
    Transform,
    compose,
)
from imedbench.core.types import Outcome
from imedbench.runs.validity import check_transform

SHAPE = (120, 160)
WIDTH, HEIGHT = 160, 120


def fold(share: float) -> DenseField:
    """Runs backwards at half speed over the middle ``share`` of the width, forwards elsewhere."""
    x = np.arange(WIDTH, dtype=float)
    speed = np.where(np.abs(x - WIDTH / 2) < share * WIDTH / 2, -0.5, 1.0)
    target = np.concatenate([[0.0], np.cumsum(speed[1:])])
    field = np.zeros((*SHAPE, 2))
    field[..., 0] = target - x
    return DenseField(field)


@pytest.mark.parametrize(
    "transform",
    [
        Affine.identity(),
        Affine.similarity(rotation_deg=40, scale=1.3, centre=(80, 60)),
        Affine([[1, 0, 100], [0, 1, 0]]),  # a third is left
        Affine.similarity(scale=4.9),
        Affine.similarity(scale=0.21, centre=(80, 60)),
        Affine.similarity(rotation_deg=180, centre=(80, 60)),
        Homography([[1, 0.05, 3], [0, 1, -4], [1e-4, 2e-4, 1]]),
        Quadratic([[2, 1, 0, 1e-4, 0, 0], [1, 0, 1, 0, 0, -1e-4]]),
        ThinPlateSpline(
            [[0, 0], [159, 0], [0, 119], [159, 119]], [[3, 1], [159, 4], [0, 119], [150, 110]]
        ),
        DenseField(np.full((*SHAPE, 2), 3.0)),
        DenseField(np.full((*SHAPE, 2), 3.0)).inverse(),
        fold(0.02).inverse(),  # folds, but over less than a twentieth
        compose(Affine([[1, 0, 4], [0, 1, 0]]), DenseField(np.full((*SHAPE, 2), 3.0))),
    ],
)
def test_ordinary_transforms_pass(transform: Transform) -> None:
    assert check_transform(transform, SHAPE, SHAPE) == (Outcome.OK, "")


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        (Affine([[-1, 0, 159], [0, 1, 0]]), "mirrors"),
        (Homography([[-1, 0, 159], [0, 1, 0], [1e-4, 0, 1]]), "mirrors"),
        (fold(0.3).inverse(), "folds"),
        (Affine.similarity(scale=5.5), "scale is 5.5"),
        (Affine.similarity(scale=0.15, centre=(80, 60)), "scale is 0.15"),
        (Affine([[1, 0, 1000], [0, 1, 0]]), "do not overlap"),
        (Affine([[1, 0, 150], [0, 1, 0]]), "only 6% of the smaller image overlaps"),
        (Homography(np.full((3, 3), np.nan)), "not finite"),
        (Affine([[1, 0, np.inf], [0, 1, 0]]), "not finite"),
        (DenseField(np.full((*SHAPE, 2), np.nan)), "not finite"),
        (Affine([[1, 1, 0], [1, 1, 0]]), "no inverse"),
        (Homography([[1, 0, 0], [0, 1, 0], [-0.01, 0, 1]]), "horizon"),
        (Quadratic(np.zeros((2, 6))), "do not overlap"),
    ],
)
def test_degenerate_transforms_are_told_why(transform: Transform, reason: str) -> None:
    outcome, why = check_transform(transform, SHAPE, SHAPE)
    assert outcome is Outcome.DEGENERATE
    assert reason in why


def test_a_quarter_crop_is_a_full_overlap_of_the_smaller_image() -> None:
    crop = Affine([[1, 0, 60], [0, 1, 50]])
    assert check_transform(crop, (400, 400), (100, 100)) == (Outcome.OK, "")
    assert check_transform(crop.inverse(), (100, 100), (400, 400)) == (Outcome.OK, "")


def test_sizes_that_differ_are_no_scale_of_their_own() -> None:
    enlargement = Affine.similarity(scale=4)
    assert check_transform(enlargement, (1200, 1600), (300, 400)) == (Outcome.OK, "")
    assert check_transform(Affine.similarity(scale=0.25), (300, 400), (1200, 1600)) == (
        Outcome.OK,
        "",
    )
