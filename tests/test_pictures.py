"""Overlays, checkerboards and match drawings, pixel by pixel where that can be said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from imedbench.core.images import read_image
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, Matches
from imedbench.reports.figures import Tile, draw_comparison, draw_picture
from imedbench.reports.formats import cell, interval, number, p_value
from imedbench.reports.pictures import TILES, checkerboard, colour, draw_matches, overlay, warped

SIZE = 128


def vessels(shift: int = 0, *, dark: bool = False) -> Image:
    """Bright or dark lines on a textured ground."""
    ground = np.full((SIZE, SIZE), 110, np.float32)
    for place in (30, 64, 100):
        cv2.line(ground, (place + shift, 0), (place + shift + 14, SIZE), 210, 3)
    ground = cv2.GaussianBlur(ground, (0, 0), 1)
    return Image((255 - ground if dark else ground).astype(np.uint8))


def test_colour_keeps_rgb_and_repeats_grey() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (4, 5, 3)).astype(np.uint8)
    assert colour(Image(rgb)) is rgb
    grey = colour(Image(rgb[..., 0]))
    assert grey.shape == (4, 5, 3)
    np.testing.assert_array_equal(grey[..., 2], rgb[..., 0])


def test_warped_puts_the_moving_image_on_the_fixed_grid() -> None:
    fixed, moving = vessels(), vessels(-5)
    shown = warped(fixed, moving, Affine([[1, 0, 5], [0, 1, 0]]))
    assert shown.shape == (SIZE, SIZE, 3)
    np.testing.assert_array_equal(shown[:, 10:-10, 0], fixed.pixels[:, 10:-10])


@pytest.mark.parametrize("dark", [False, True])
def test_agreeing_vessels_are_white_and_others_are_not(dark: bool) -> None:
    """Whatever their polarity: white where both are, magenta or green where one is alone."""
    fixed, moving = vessels(), vessels(dark=dark)
    together = overlay(fixed, moving, Affine.identity())[40:90, 40:90].reshape(-1, 3).astype(int)
    apart = overlay(fixed, moving, Affine([[1, 0, 14], [0, 1, 0]]))[40:90, 40:90]
    bright = together[together.max(1) > 0.9 * together.max()]
    assert len(bright) > 50
    assert (np.ptp(bright, axis=1) < 30).all(), "no colour"
    red, green, blue = apart.reshape(-1, 3).astype(int).T
    assert ((red > green + 60) & (blue > green + 50)).sum() > 50, "the fixed image's alone"
    assert ((green > red + 60) & (green > blue + 50)).sum() > 50, "the moving image's alone"


def test_a_checkerboard_takes_turns_and_shows_the_fixed_where_the_moving_ends() -> None:
    fixed, moving = Image(np.full((64, 64), 10, np.uint8)), Image(np.full((64, 64), 200, np.uint8))
    board = checkerboard(fixed, moving, Affine.identity())[..., 0]
    tile = 64 // TILES
    assert board[0, 0] == 10
    assert board[0, tile] == 200
    assert board[tile, 0] == 200
    assert board[tile, tile] == 10
    half = checkerboard(fixed, moving, Affine([[1, 0, 32], [0, 1, 0]]))[..., 0]
    assert (half[:, :32] == 10).all()
    assert (half[:, 32:] == 200).any()


def test_matches_join_the_right_places_in_two_colours() -> None:
    fixed = Image(np.zeros((100, 80), np.uint8))
    moving = Image(np.zeros((50, 60, 3), np.uint8))
    matches = Matches(
        np.array([[10.0, 10.0], [40.0, 40.0]]),
        np.array([[20.0, 30.0], [60.0, 90.0]]),
        np.array([True, False]),
    )
    drawn = draw_matches(fixed, moving, matches)
    assert drawn.shape == (100, 80 + 120, 3), "the moving image is brought to the fixed height"
    kept, rejected = drawn[30, 20], drawn[90, 60]
    assert kept[1] > kept[0]
    assert rejected[0] > rejected[1]
    assert drawn[20, 80 + 20].any(), "the kept match ends at twice its place in the moving image"


def test_many_matches_are_thinned_and_none_are_no_trouble() -> None:
    image = vessels()
    rng = np.random.default_rng(0)
    many = Matches(*rng.uniform(0, SIZE, (2, 999, 2)), np.zeros(999, bool))
    none = Matches(np.empty((0, 2)), np.empty((0, 2)), np.empty(0, bool))
    assert draw_matches(image, image, many, most=3).any()
    np.testing.assert_array_equal(
        draw_matches(image, image, none), np.hstack([colour(image), colour(image)])
    )


def test_a_comparison_has_tiles_wide_enough_to_see_vessels(tmp_path: Path) -> None:
    picture = np.full((90, 70, 3), 40, np.uint8)
    tiles = [Tile("a very long title " * 30, picture), Tile("failed", None)]
    sizes = []
    for n in (2, 4):
        draw_comparison((tiles * 2)[:n], tmp_path / "figure.png")
        sizes.append(read_image(tmp_path / "figure.png").size)
    assert sizes[0][0] == sizes[1][0] >= 3 * 400
    assert sizes[1][1] == 2 * sizes[0][1]


def test_single_pictures_are_at_most_1000_px_wide(tmp_path: Path) -> None:
    draw_picture(np.zeros((100, 3000, 3), np.uint8), tmp_path / "wide.png")
    draw_picture(np.zeros((100, 300, 3), np.uint8), tmp_path / "small.png")
    assert cv2.imread(str(tmp_path / "wide.png")).shape[1] == 1000
    assert cv2.imread(str(tmp_path / "small.png")).shape[1] == 300


def test_numbers_as_tables_show_them() -> None:
    assert [number(v) for v in (1.234, None, float("nan"), float("inf"))] == ["1.23", "–", "–", "∞"]
    assert interval(SimpleNamespace(estimate=1.4, low=1.21, high=1.634), 1) == "1.4 [1.2, 1.6]"
    assert interval(None) == "–"
    assert [p_value(p) for p in (0.0004, 0.05, float("nan"))] == ["< 0.001", "0.050", "–"]
    assert cell("a|b\nc") == "a\\|b c"
