"""Training samples: what is cut, warped and degraded stays what its truth says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from imedbench.core.errors import BadInput
from imedbench.methods.training import augment
from imedbench.methods.training.augment import Crop, degrade, pick, random_crop
from imedbench.methods.training.vessel_folders import (
    VesselImage,
    hold_out,
    list_images,
    read_folder,
)
from imedbench.methods.training.warped_pairs import (
    Retina,
    WarpRange,
    random_warp,
    restyle,
    warped_pair,
)


def cross(height: int = 200, width: int = 240) -> VesselImage:
    """Two thick lines; the plane shows exactly the vessels."""
    vessels = np.zeros((height, width), np.uint8)
    cv2.line(vessels, (20, 30), (200, 170), 1, 9)
    cv2.line(vessels, (60, 180), (150, 20), 1, 7)
    return VesselImage(
        "drawn/cross", vessels.astype(np.float32), np.ones((height, width), bool), vessels > 0
    )


def test_random_crop_cuts_image_and_vessels_alike() -> None:
    for seed in range(5):
        crop = random_crop(cross(), 64, (0.3, 2.0), np.random.default_rng(seed))
        core = cv2.erode(crop.fov.astype(np.uint8), np.ones((5, 5))) > 0
        assert core.any()
        np.testing.assert_allclose(crop.plane[core], crop.vessels[core], atol=1e-5)
        assert crop.plane.shape == crop.fov.shape == (64, 64)


def test_a_mirrored_crop_shows_nothing_but_the_picture() -> None:
    image = VesselImage(
        "bright", np.ones((60, 60), np.float32), np.ones((60, 60), bool), np.zeros((60, 60), bool)
    )
    grey = [random_crop(image, 64, (0.1, 0.2), np.random.default_rng(s)) for s in range(3)]
    mirrored = [
        random_crop(image, 64, (0.1, 0.2), np.random.default_rng(s), mirror=True) for s in range(3)
    ]
    assert all(crop.plane.min() == 0.5 for crop in grey)
    assert all(crop.plane.min() == 1.0 for crop in mirrored)


def test_zoom_is_relative_to_an_image_of_512_px() -> None:
    """A line of 9 px in a 240 px image is 9·512/240 px wide at zoom 1."""
    vessels = np.zeros((240, 240), np.uint8)
    vessels[:, 116:125] = 1
    fov = np.zeros((240, 240), bool)
    fov[120, 120] = True  # crops are centred here
    image = VesselImage("line", vessels.astype(np.float32), fov, vessels > 0)
    crop = random_crop(image, 64, (1.0, 1.0), np.random.default_rng(3))
    area = crop.vessels.sum() / 64  # of a strip that crosses the crop at some angle
    width = 9 * 512 / 240
    assert 0.85 * width < area < 1.55 * width


def test_degrade_keeps_range_and_place() -> None:
    image = cross()
    plane = (0.5 + 0.3 * image.vessels).astype(np.float32)
    crop = Crop(
        plane[:128, :128], image.vessels[:128, :128].astype(np.float32), image.fov[:128, :128]
    )
    correlations = []
    for seed in range(12):
        worse = degrade(crop, np.random.default_rng(seed))
        assert worse.dtype == np.float32
        assert worse.min() >= 0
        assert worse.max() <= 1
        correlations.append(np.corrcoef(worse.ravel(), crop.vessels.ravel())[0, 1])
    assert np.median(correlations) > 0.4
    assert not np.allclose(degrade(crop, np.random.default_rng(0)), worse)


def test_a_scan_line_marks_whole_rows_or_columns_and_happens() -> None:
    plane = np.full((40, 40), 0.5, np.float32)
    ways = set()
    for seed in range(20):
        change = augment._add_scan_lines(plane, np.random.default_rng(seed)) - plane
        rows, columns = np.ptp(change, axis=1).max(), np.ptp(change, axis=0).max()
        assert min(rows, columns) == 0
        assert 0 < max(rows, columns) <= 0.4
        ways.add(rows == 0)
    assert ways == {True, False}


def test_one_picture_in_seven_gets_scan_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(augment, "_add_scan_lines", lambda plane, rng: calls.append(1) or plane)
    crop = random_crop(cross(), 48, (1.0, 1.0), np.random.default_rng(0))
    for seed in range(400):
        degrade(crop, np.random.default_rng(seed))
    assert 35 < len(calls) < 90  # 15 % of 400, within four deviations


def test_same_seed_same_sample() -> None:
    a, b = (random_crop(cross(), 32, (0.5, 2), np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(a.plane, b.plane)


def test_pick_reaches_every_item() -> None:
    rng = np.random.default_rng(0)
    assert {pick("abc", rng) for _ in range(50)} == set("abc")


@pytest.mark.parametrize("bend", [0.0, 0.05])
def test_a_pair_shows_the_same_vessels_where_its_warp_says(bend: float) -> None:
    ranges = WarpRange(bend=bend)
    for seed in range(4):
        pair = warped_pair(Retina.seen_once(cross()), 96, ranges, np.random.default_rng(seed))
        columns, rows = np.meshgrid(np.arange(96), np.arange(96))
        pixels = np.stack([columns, rows], axis=-1).reshape(-1, 2)
        there = pair.source_from_target.apply(pixels).astype(np.float32).reshape(96, 96, 2)
        moved = cv2.remap(pair.source.vessels, there, None, cv2.INTER_LINEAR, borderValue=-1)
        seen = (there > 1).all(-1) & (there < 94).all(-1)
        assert seen.mean() > 0.2
        assert np.abs(moved - pair.target.vessels)[seen].mean() < 0.03


def test_warps_stay_in_their_ranges() -> None:
    ranges = WarpRange(rotation=20, scale=1.3, shift=0.1, bend=0)
    middle = np.array([[49.5, 49.5]])
    for seed in range(20):
        warp = random_warp(100, ranges, np.random.default_rng(seed))
        assert np.abs(warp.apply(middle) - middle).max() <= 10 + 1e-9
        along = warp.apply(middle + np.array([[10, 0]])) - warp.apply(middle)
        assert 1 / 1.3 <= np.linalg.norm(along) / 10 <= 1.3
        assert abs(np.degrees(np.arctan2(along[0, 1], along[0, 0]))) <= 20


def test_a_drawn_view_shows_only_vessels() -> None:
    crop = random_crop(cross(), 96, (0.4, 0.4), np.random.default_rng(2))
    views = [restyle(crop, np.random.default_rng(seed), drawn=1.0, clean=0.0) for seed in range(8)]
    far = cv2.dilate((crop.vessels > 0).astype(np.uint8), np.ones((9, 9))) == 0
    assert np.median([view[far].mean() for view in views]) < 0.05
    assert np.median([view[crop.vessels > 0.9].mean() for view in views]) > 0.4


def write_set(root: Path, count: int, *, split: str = "train") -> None:
    rng = np.random.default_rng(0)
    for kind in ("images", "vessels"):
        (root / kind / split).mkdir(parents=True)
    for index in range(count):
        image = cross()
        grey = 90 - 50 * image.vessels + rng.normal(0, 3, image.vessels.shape)
        picture = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, 2)
        cv2.imwrite(str(root / "images" / split / f"{index:02d}.png"), picture)
        mask = image.vessels.astype(np.uint8) * 255
        cv2.imwrite(str(root / "vessels" / split / f"{index:02d}.png"), mask)


def test_a_folder_is_read_with_bright_vessels(tmp_path: Path) -> None:
    write_set(tmp_path, 2)
    images = read_folder(tmp_path, "train")
    assert [image.name for image in images] == [f"{tmp_path.name}/00", f"{tmp_path.name}/01"]
    image = images[0]
    np.testing.assert_array_equal(image.vessels, cross().vessels)
    inside = image.fov
    assert image.plane[image.vessels & inside].mean() > image.plane[~image.vessels & inside].mean()


def test_what_is_wrong_with_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no images/train"):
        read_folder(tmp_path, "train")
    write_set(tmp_path, 1)
    mask = tmp_path / "vessels" / "train" / "00.png"
    cv2.imwrite(str(mask), np.zeros((5, 5), np.uint8))
    with pytest.raises(BadInput, match=r"00.png: .* same size"):
        read_folder(tmp_path, "train")
    mask.unlink()
    with pytest.raises(BadInput, match=r"00.png: missing"):
        read_folder(tmp_path, "train")
    (tmp_path / "images" / "train" / "00.png").write_bytes(b"no image")
    with pytest.raises(BadInput, match="cannot be read"):
        read_folder(tmp_path, "train")


def test_test_images_are_never_listed_for_training(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(
        "pair_id,split,fixed,moving\na,train,a0.png,a1.png\nb,test,b0.png,b1.png\n"
    )
    for name in ("a0.png", "a1.png"):
        (tmp_path / name).touch()
    assert list_images(tmp_path, "train") == [tmp_path / "a0.png", tmp_path / "a1.png"]


def test_hold_out_takes_the_last_and_at_least_one() -> None:
    assert hold_out(list(range(20)), 10) == (list(range(18)), [18, 19])
    assert hold_out([1, 2, 3], 10) == ([1, 2], [3])
