"""The joint network as a method, on synthetic pairs whose truth is exact."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from imedbench.core.stages import collect_stages
from imedbench.core.types import Image, ImagePair, Registration
from imedbench.datasets.synthetic.pairs import make_pair
from imedbench.methods.imed_joint import ACCEPTED, ImedJoint
from imedbench.methods.joint_report import ReportJoint

SEEDS = (11, 12, 13)


@pytest.fixture(scope="module")
def method() -> ImedJoint:
    found = ImedJoint()
    found.prepare("cpu")
    return found


@pytest.fixture(scope="module")
def pairs() -> list[ImagePair]:
    return [make_pair(seed, "imed") for seed in SEEDS]


def error_px(answer: Registration, pair: ImagePair, moved: np.ndarray | None = None) -> float:
    """Mean distance of the landmarks, whose moving ones may have been moved by 2×3 ``moved``."""
    assert answer.fixed_from_moving is not None, answer.reason
    moving, fixed = pair.truth.moving_points, pair.truth.fixed_points
    assert moving is not None
    assert fixed is not None
    if moved is not None:
        moving = moving @ moved[:, :2].T + moved[:, 2]
    left = answer.fixed_from_moving.apply(moving) - fixed
    return float(np.linalg.norm(left, axis=1).mean())


def test_small_motion_is_found_from_the_first_start(
    method: ImedJoint, pairs: list[ImagePair]
) -> None:
    for pair in pairs:
        answer = method.register(pair.fixed, pair.moving)
        assert error_px(answer, pair) < 2.0
        assert answer.confidence is not None
        assert answer.confidence > ACCEPTED
        assert answer.diagnostics.values["start"] == 0


@pytest.mark.parametrize(("turn", "zoom"), [(180.0, 1.0), (-100.0, 0.7)])
def test_turned_and_zoomed_images_are_found_from_other_starts(
    method: ImedJoint, pairs: list[ImagePair], turn: float, zoom: float
) -> None:
    pair = pairs[0]
    matrix = cv2.getRotationMatrix2D((255.5, 255.5), turn, zoom)
    moving = Image(cv2.warpAffine(pair.moving.pixels, matrix, (512, 512)), "octa")
    answer = method.register(pair.fixed, moving)
    assert error_px(answer, pair, matrix) < 4.0
    assert answer.diagnostics.values["start"] != 0


def test_other_eyes_are_refused(method: ImedJoint, pairs: list[ImagePair]) -> None:
    for fixed, moving in zip(pairs, pairs[1:] + pairs[:1], strict=True):
        answer = method.register(fixed.fixed, moving.moving)
        assert answer.fixed_from_moving is None
        assert answer.reason.startswith("confidence")


def test_without_the_self_check_something_is_always_answered(pairs: list[ImagePair]) -> None:
    unchecked = ImedJoint(selfcheck=False, starts=False)
    unchecked.prepare("cpu")
    answer = unchecked.register(pairs[0].fixed, pairs[1].moving)
    assert answer.confidence is not None


def test_stages_are_named(method: ImedJoint, pairs: list[ImagePair]) -> None:
    with collect_stages() as times:
        method.register(pairs[0].fixed, pairs[0].moving)
    assert list(times.milliseconds) == ["normalise", "coarse", "fine"]


def test_images_of_other_shapes(method: ImedJoint, pairs: list[ImagePair]) -> None:
    """The moving image in another size and cut, as another device would export it."""
    pair = pairs[0]
    matrix = np.array([[1.25, 0.0, 0.125], [0.0, 1.25, -39.875]])
    moving = Image(cv2.warpAffine(pair.moving.pixels, matrix, (640, 560)), "octa")
    assert error_px(method.register(pair.fixed, moving), pair, matrix) < 3.0


def test_the_report_s_network_is_an_option() -> None:
    report = ImedJoint(network="report")
    assert isinstance(report._report, ReportJoint)
    assert report.info.name == "imed-joint"
    assert report.info.weights != ImedJoint().info.weights


def test_the_modality_transfer_is_an_option(pairs: list[ImagePair]) -> None:
    transferred = ImedJoint(transfer=True)
    transferred.prepare("cpu")
    assert error_px(transferred.register(pairs[0].fixed, pairs[0].moving), pairs[0]) < 4.0
