"""Unsure lines are settled by the maps; sure ones, failures and runaways change nothing."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from imedbench.core.arrays import Matrix
from imedbench.core.transforms import Homography, warp_image
from imedbench.methods.imed import polish as module
from imedbench.methods.imed.attempt import Attempt, Prepared
from imedbench.methods.imed.lines import build_targets, trace_lines
from imedbench.methods.imed.polish import correlate_maps, polish
from imedbench.methods.imed.selfcheck import Evidence
from imedbench.methods.vessel_maps import VesselMap, ridge_map

SIDE = 256
POSE = np.array([[1.01, 0.02, 3.0], [-0.02, 0.99, -2.0], [1e-5, 0, 1]])
SURE, UNSURE = 0.7, 0.8  # px between vessels that meet
NEAR = np.array([[1, 0, 0.8], [0, 1, -0.6], [0, 0, 1.0]]) @ POSE


def vessels() -> np.ndarray:
    """Soft bright curves, uint8."""
    rng = np.random.default_rng(2)
    image = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(14):
        start, bend = rng.uniform(0, SIDE, 2), rng.normal(0, 0.004)
        turn = rng.uniform(0, 2 * np.pi) + bend * np.arange(-200, 200)
        path = start + np.cumsum(np.column_stack([np.cos(turn), np.sin(turn)]), 0)
        path -= path[200] - start
        cv2.polylines(image, [np.rint(path * 16).astype(np.int32)], False, 255, 3, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1), np.uint8)


def prepared(image: np.ndarray) -> Prepared:
    found = ridge_map((image / 255).astype(np.float32), np.ones((SIDE, SIDE), bool))
    return Prepared(found, build_targets(trace_lines(found, 4500)), np.eye(3))


@pytest.fixture(scope="module")
def pair() -> tuple[Prepared, Prepared]:
    fixed = vessels()
    return prepared(fixed), prepared(warp_image(fixed, Homography(POSE), (SIDE, SIDE)))


def attempted(pair: tuple[Prepared, Prepared], pose: Matrix, spread: float) -> Attempt:
    found = Evidence(0.6, 60, 1.0, met_length=4000, spread=spread, pixel=1 / SIDE)
    return Attempt(*pair, pose, found)


def off(pose: Matrix, true: Matrix = POSE) -> float:
    """Mean distance over the image, px."""
    places = np.stack(np.meshgrid(*[np.linspace(20, SIDE - 20, 7)] * 2), -1).reshape(-1, 2)
    apart = Homography(pose).apply(places) - Homography(true).apply(places)
    return float(np.linalg.norm(apart, axis=1).mean())


def test_the_maps_find_a_known_homography(pair: tuple[Prepared, Prepared]) -> None:
    found = correlate_maps(pair[0].vessels, pair[1].vessels, NEAR)
    assert found is not None
    assert off(NEAR) == pytest.approx(1.0, abs=0.1)
    assert off(found) < 0.1


def test_sure_lines_keep_their_pose(pair: tuple[Prepared, Prepared]) -> None:
    found = attempted(pair, NEAR, SURE)
    assert polish(found) is found


def test_unsure_lines_are_settled_by_the_maps(pair: tuple[Prepared, Prepared]) -> None:
    half = attempted(pair, NEAR, (SURE + UNSURE) / 2)
    assert off(polish(half).pose) == pytest.approx(off(NEAR) / 2, abs=0.1)
    assert off(polish(attempted(pair, NEAR, UNSURE)).pose) < 0.1


@pytest.mark.parametrize(("shift", "share"), [(3.0, 1.0), (5.0, 0.5), (9.0, 0.0)])
def test_a_runaway_is_not_believed(
    pair: tuple[Prepared, Prepared], monkeypatch: pytest.MonkeyPatch, shift: float, share: float
) -> None:
    moved = POSE.copy()
    moved[0] += shift * POSE[2]
    monkeypatch.setattr(module, "correlate_maps", lambda *_: moved)
    assert off(polish(attempted(pair, POSE, UNSURE)).pose) == pytest.approx(share * shift, abs=0.05)


def test_a_failed_ascent_changes_nothing(pair: tuple[Prepared, Prepared]) -> None:
    none = np.zeros((SIDE, SIDE), np.float32)
    empty = VesselMap(none, np.stack([none, none]), np.zeros((SIDE, SIDE), bool))
    assert correlate_maps(empty, pair[1].vessels, POSE) is None
    found = attempted((replace(pair[0], vessels=empty), pair[1]), POSE, UNSURE)
    assert polish(found) is found
