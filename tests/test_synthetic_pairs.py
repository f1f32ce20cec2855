"""Synthetic pairs: exact truth, levels, stress, the registered data set, streams and export."""

import hashlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imedbench.core.datasets import Dataset
from imedbench.core.errors import BadInput
from imedbench.core.registry import DATASETS
from imedbench.core.types import ImagePair
from imedbench.datasets.contact_sheet import contact_sheet
from imedbench.datasets.export import write_dataset
from imedbench.datasets.manifest import Manifest
from imedbench.datasets.synthetic.benchmark import Synthetic
from imedbench.datasets.synthetic.pairs import _make_views, make_pair
from imedbench.datasets.synthetic.randomness import stream
from imedbench.datasets.synthetic.tree import make_eye
from imedbench.datasets.synthetic.view import dense_map
from imedbench.datasets.synthetic.warps import (
    LEVELS,
    MOTIONS,
    Level,
    Stress,
    covered,
    make_warp,
)

SIZE = 160


def _digest(pair: ImagePair) -> str:
    parts = [pair.fixed.pixels, pair.moving.pixels, pair.truth.fixed_points]
    return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()


def _digest_of(number: int) -> str:
    return _digest(make_pair(number, "hard", size=96))


@pytest.mark.parametrize("level", LEVELS)
def test_truth_transform_agrees_with_the_landmarks(level: Level) -> None:
    pair = make_pair(3, level, size=SIZE)
    truth = pair.truth
    assert truth.fixed_from_moving is not None
    assert truth.fixed_points is not None
    mapped = truth.fixed_from_moving.apply(truth.moving_points)
    np.testing.assert_allclose(mapped, truth.fixed_points, atol=1e-4)
    assert len(truth.fixed_points) >= 8


@pytest.mark.parametrize("level", LEVELS)
def test_vessel_masks_overlap_after_the_true_warp(level: Level) -> None:
    """The images themselves, not only the landmarks, obey the truth."""
    pair = make_pair(4, level, size=256)
    truth = pair.truth
    assert truth.fixed_from_moving is not None
    assert truth.moving_vessels is not None
    back = dense_map(truth.fixed_from_moving.inverse(), pair.fixed.size)
    moved = cv2.remap(truth.moving_vessels.astype(np.float32), back, None, cv2.INTER_LINEAR) > 0.5
    seen = ((back >= 1) & (back <= 254)).all(-1)
    if pair.fixed.pixels.ndim == 3:
        seen &= pair.fixed.pixels.max(-1) > 20
    fixed = truth.fixed_vessels & seen
    dice = 2 * (fixed & moved & seen).sum() / (fixed.sum() + (moved & seen).sum())
    assert dice > 0.75


def test_landmarks_lie_on_vessels_in_both_images() -> None:
    pair = make_pair(5, "hard", size=256)
    for points, mask in (
        (pair.truth.fixed_points, pair.truth.fixed_vessels),
        (pair.truth.moving_points, pair.truth.moving_vessels),
    ):
        assert points is not None
        assert mask is not None
        near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5)))
        x, y = np.rint(points).astype(int).T
        assert near[y, x].mean() > 0.95


def test_imed_level_moves_about_as_far_as_the_real_pairs() -> None:
    """About 17 px of 512 on average between unregistered landmarks."""
    errors = []
    for seed in range(12):
        warp = make_warp("imed", (512, 512), np.random.default_rng(seed))
        grid = np.stack(np.meshgrid([100, 256, 400], [100, 256, 400]), -1).reshape(-1, 2)
        errors.append(np.linalg.norm(warp.fixed_from_moving.apply(grid) - grid, axis=1).mean())
    assert np.mean(errors) == pytest.approx(17, abs=4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), level=st.sampled_from(["easy", "imed", "hard"]))
def test_warps_keep_their_overlap_and_invert(seed: int, level: Level) -> None:
    warp = make_warp(level, (200, 160), np.random.default_rng(seed))
    assert covered(warp.fixed_from_moving, (200, 160)) >= MOTIONS[level].least_overlap - 0.1
    points = np.array([[40.0, 30.0], [100.0, 80.0], [150.0, 120.0]])
    there = warp.moving_from_fixed.apply(points)
    np.testing.assert_allclose(warp.fixed_from_moving.apply(there), points, atol=1e-4)


@pytest.mark.parametrize("angle", [-60.0, 20.0, 90.0])
def test_rotation_stress_turns_by_that_angle(angle: float) -> None:
    warp = make_warp("easy", (200, 200), np.random.default_rng(0), Stress("rotation", angle))
    ends = warp.fixed_from_moving.apply([[90.0, 100.0], [110.0, 100.0]])
    way = ends[1] - ends[0]
    assert np.degrees(np.arctan2(way[1], way[0])) == pytest.approx(angle, abs=0.5)


def test_scale_stress_sets_the_magnification() -> None:
    warp = make_warp("easy", (200, 200), np.random.default_rng(0), Stress("scale", 1.5))
    ends = warp.fixed_from_moving.apply([[90.0, 100.0], [110.0, 100.0]])
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(30, rel=0.01)


@pytest.mark.parametrize("overlap", [0.3, 0.6, 1.0])
def test_overlap_stress_leaves_that_share(overlap: float) -> None:
    warp = make_warp("easy", (200, 200), np.random.default_rng(1), Stress("overlap", overlap))
    assert covered(warp.fixed_from_moving, (200, 200)) == pytest.approx(overlap, abs=0.04)


def test_blur_noise_and_lesion_stress_change_the_image_and_not_the_truth() -> None:
    plain = make_pair(2, "easy", size=SIZE)
    for stress in (Stress("blur", 6), Stress("noise", 30), Stress("lesions", 3)):
        pair = make_pair(2, "easy", size=SIZE, stress=stress)
        assert not np.array_equal(pair.fixed.pixels, plain.fixed.pixels)
        np.testing.assert_allclose(pair.truth.moving_points, plain.truth.moving_points)
    blurred = make_pair(2, "easy", size=SIZE, stress=Stress("blur", 6)).moving.pixels
    assert (
        cv2.Laplacian(blurred, cv2.CV_64F).std()
        < 0.3 * cv2.Laplacian(plain.moving.pixels, cv2.CV_64F).std()
    )


@pytest.mark.parametrize(
    "value", ["rotation:-180", "scale:0.3", "overlap:1", "blur:0", "noise:128"]
)
def test_the_ends_of_a_range_are_accepted(value: str) -> None:
    kind, _, number = value.partition(":")
    assert Stress.parse(value) == Stress(kind, float(number))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["turn:3", "rotation:far", "scale:9", "rotation"])
def test_wrong_stress_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(BadInput, match="stress"):
        Stress.parse(text)


def test_fields_level_shows_the_disc_in_one_image_only() -> None:
    for seed in range(8):
        eye = make_eye(seed)
        views = _make_views(eye, "fields", SIZE, stream(seed, "geometry", "fields"), None)
        assert 0.2 < covered(views.warp.fixed_from_moving, (SIZE, SIZE)) < 0.55
        assert 1.4 < views.fixed.mm_per_px / views.moving.mm_per_px < 2.1
        centre = eye.disc[None]
        assert views.fixed.shows(views.fixed.px_from_mm.apply(centre))[0]
        assert not views.moving.shows(views.moving.px_from_mm.apply(centre))[0]


def test_same_bytes_in_any_order_and_process() -> None:
    here = [_digest_of(n) for n in (0, 5, 9)]
    with ProcessPoolExecutor(2) as pool:
        there = list(pool.map(_digest_of, (9, 5, 0)))
    assert here == there[::-1]


def test_registered_data_set_keeps_its_contract() -> None:
    dataset = DATASETS.create("synthetic:size=96:pairs=2")
    assert isinstance(dataset, Dataset)
    multi, single = (dataset.refs(split) for split in ("multi-modal", "single-modal"))
    assert [r.pair_id for r in multi] == [r.pair_id for r in single] == ["01", "02"]
    assert len({r.group for r in multi}) == 2
    a, b = dataset.load(multi[0]), dataset.load(single[0])
    assert (a.fixed.modality, a.moving.modality) == ("cf", "octa")
    assert (b.fixed.modality, b.moving.modality) == ("octa", "octa")
    np.testing.assert_array_equal(a.moving.pixels, b.moving.pixels)
    np.testing.assert_array_equal(a.truth.fixed_points, b.truth.fixed_points)
    assert a.group == multi[0].group


def test_default_has_the_thirteen_pairs_of_the_report() -> None:
    assert len(Synthetic().refs("multi-modal")) == 13


def test_every_default_pair_has_enough_landmarks() -> None:
    dataset = Synthetic(level="fields", size=64)  # the level with the least overlap
    for ref in dataset.refs("multi-modal"):
        assert len(dataset.load(ref).truth.fixed_points) >= 10, ref.pair_id


@pytest.mark.parametrize("wrong", [{"pairs": 0}, {"size": 10}, {"seed": -1}, {"stress": "x:1"}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        Synthetic(**wrong)


def test_export_is_read_back_as_a_manifest(tmp_path: Path) -> None:
    dataset = Synthetic(pairs=2, size=96)
    path = write_dataset(dataset, tmp_path / "out")
    manifest = Manifest(root=path)
    for split in ("multi-modal", "single-modal"):
        for ref, original_ref in zip(manifest.refs(split), dataset.refs(split), strict=True):
            pair, original = manifest.load(ref), dataset.load(original_ref)
            np.testing.assert_array_equal(pair.fixed.pixels, original.fixed.pixels)
            np.testing.assert_array_equal(pair.moving.pixels, original.moving.pixels)
            np.testing.assert_array_equal(pair.truth.fixed_vessels, original.truth.fixed_vessels)
            np.testing.assert_allclose(
                pair.truth.moving_points, original.truth.moving_points, atol=1e-4
            )
            assert pair.group == original.group
            assert pair.truth.spacing_um == pytest.approx(original.truth.spacing_um, rel=1e-4)


def test_export_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(BadInput, match="not an empty folder"):
        write_dataset(Synthetic(pairs=1, size=96), tmp_path)


def test_contact_sheet_shows_every_pair_once() -> None:
    sheet = contact_sheet(Synthetic(pairs=3, size=96), "multi-modal", columns=2, tile=50)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (2 * 50 + 8, 2 * 100 + 8, 3)
    assert (sheet[58:, 108:] == 255).all()
    assert (sheet[58:, :100] != 255).any()
