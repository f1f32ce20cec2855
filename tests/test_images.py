"""Reading and writing pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from imedbench.core.errors import BadInput, ContractError
from imedbench.core.images import read_image, read_mask, write_image
from imedbench.core.transforms import Affine
from imedbench.core.types import (
    Diagnostics,
    GroundTruth,
    Image,
    Matches,
    Outcome,
    Registration,
)

RGB = np.random.default_rng(0).integers(0, 255, (7, 9, 3)).astype(np.uint8)
GREY = RGB[..., 0]


def encoded(path: Path, pixels: np.ndarray) -> Path:
    """Write with OpenCV alone (BGR)."""
    assert cv2.imwrite(str(path), pixels)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif", "ä ö.png"])
@pytest.mark.parametrize("pixels", [RGB, GREY])
def test_a_picture_survives_its_file(name: str, pixels: np.ndarray, tmp_path: Path) -> None:
    write_image(tmp_path / name, pixels)
    image = read_image(tmp_path / name, "cf")
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.modality == "cf"


def test_colours_are_rgb(tmp_path: Path) -> None:
    write_image(tmp_path / "red.png", np.full((4, 4, 3), [255, 0, 0], np.uint8))
    assert cv2.imread(str(tmp_path / "red.png"))[0, 0].tolist() == [0, 0, 255]
    assert read_image(tmp_path / "red.png").pixels[0, 0].tolist() == [255, 0, 0]


def test_other_depths_and_channels(tmp_path: Path) -> None:
    deep = encoded(tmp_path / "deep.png", np.array([[0, 257, 65535]] * 2, np.uint16))
    assert read_image(deep).pixels.tolist() == [[0, 1, 255]] * 2
    clear = encoded(tmp_path / "clear.png", np.dstack([RGB[..., ::-1], GREY]))
    np.testing.assert_array_equal(read_image(clear).pixels, RGB)
    flat = encoded(tmp_path / "flat.png", np.dstack([GREY] * 3))
    np.testing.assert_array_equal(read_image(flat).pixels, GREY)
    assert read_image(flat).pixels.flags.c_contiguous


def test_masks(tmp_path: Path) -> None:
    mask = GREY > 99
    write_image(tmp_path / "mask.png", mask)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", mask.shape), mask)
    with pytest.raises(BadInput, match="the mask is 9×7 but its image 7×9"):
        read_mask(tmp_path / "mask.png", (9, 7))
    write_image(tmp_path / "ones.png", mask.astype(np.uint8))
    with pytest.raises(BadInput, match=r"its brightest pixel is 1.*255"):
        read_mask(tmp_path / "ones.png")
    write_image(tmp_path / "empty.png", np.zeros((4, 4), np.uint8))
    assert not read_mask(tmp_path / "empty.png").any()


def test_what_cannot_be_read_is_named_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").touch()
    whole = encoded(tmp_path / "whole.png", RGB).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    for name, message in {
        "none.png": "no such file",
        "text.png": "not a picture",
        "empty.png": "not a picture",
        "half.png": "not a picture",
    }.items():
        with pytest.raises(BadInput, match=message) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="no such file"):
        read_image(tmp_path)
    assert capfd.readouterr().out == ""


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no picture format"):
        write_image(tmp_path / "a.xyz", RGB)
    with pytest.raises(BadInput, match="cannot be written"):
        write_image(tmp_path / "no" / "a.png", RGB)


# The contracts of images and answers


@pytest.mark.parametrize(
    "pixels",
    [
        GREY.astype(np.float32),
        RGB[..., :2],
        np.zeros((0, 5), np.uint8),
        np.zeros((5,), np.uint8),
        np.zeros((2, 5, 5, 3), np.uint8),
    ],
)
def test_an_image_is_uint8_grey_or_rgb(pixels: np.ndarray) -> None:
    with pytest.raises(ContractError, match="an image must be"):
        Image(pixels)


def test_sizes_and_the_green_channel() -> None:
    image = Image(RGB)
    assert (image.size, image.shape) == ((9, 7), (7, 9))
    np.testing.assert_array_equal(image.grey(), RGB[..., 1])
    assert Image(GREY).grey() is GREY


def test_landmarks_come_in_two_finite_equal_lists() -> None:
    three = np.zeros((3, 2))
    for moving, fixed in (
        (three, None),
        (three, np.zeros((2, 2))),
        (np.zeros((3, 3)), np.zeros((3, 3))),
        (three, three + np.nan),
    ):
        with pytest.raises(ContractError, match="landmarks"):
            GroundTruth(moving_points=moving, fixed_points=fixed)


def test_an_answer_is_a_transform_or_a_reason() -> None:
    with pytest.raises(ContractError, match="not both or neither"):
        Registration(None)
    with pytest.raises(ContractError, match="not both or neither"):
        Registration(Affine.identity(), "but")
    with pytest.raises(ContractError, match="must be a Transform"):
        Registration(np.eye(3))  # type: ignore[arg-type]
    for confidence in (1.5, -0.1, np.nan):
        with pytest.raises(ContractError, match="confidence"):
            Registration(Affine.identity(), confidence=confidence)


def test_what_reports_draw_can_be_drawn() -> None:
    points, kept = np.zeros((3, 2)), np.ones(3, bool)
    Matches(points, points, kept)
    for wrong in (
        (points, points[:2], kept),
        (points, points, kept[:2]),
        (points, points, kept * 1),
    ):
        with pytest.raises(ContractError):
            Matches(*wrong)
    for name, picture in (
        ("a/b", GREY),
        ("", GREY),
        ("a", GREY.astype(float)),
        ("a", RGB[..., :2]),
        ("a", GREY[:0]),
    ):
        with pytest.raises(ContractError, match="picture"):
            Diagnostics(images={name: picture})
    with pytest.raises(ContractError, match="must be a number or text, it is a list"):
        Diagnostics(values={"n": [1]})  # type: ignore[dict-item]


def test_outcomes_are_failures_answers_or_neither() -> None:
    failures = {o.value for o in Outcome if o.is_failure}
    assert failures == {"no_transform", "degenerate", "timeout", "out_of_memory"}
    assert {o.value for o in Outcome if not o.is_answer} == {"crash", "skipped", "unreadable"}
    assert not Outcome.OK.is_failure
