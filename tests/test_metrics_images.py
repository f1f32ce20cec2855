"""Overlap and intensity metrics against skimage, scipy, torchmetrics and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, stats
from scipy.spatial import distance
from skimage.metrics import (
    mean_squared_error,
    normalized_mutual_information,
    structural_similarity,
)

from imedbench.core.errors import ContractError
from imedbench.metrics.intensity import mse, ncc, nmi, rmse, ssim
from imedbench.metrics.overlap import dice, soft_dice

Floats = NDArray[np.float64]
Metric = Callable[[Floats, Floats, NDArray[np.bool_] | None], float]
GRADED: list[Metric] = [mse, rmse, ncc, nmi, ssim, soft_dice]
SHAPE = (40, 50)


def smooth_image(seed: int) -> Floats:
    """A smooth random image that spans exactly [0, 1]."""
    image = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 2)
    scaled: Floats = (image - image.min()) / np.ptp(image)
    return scaled


@pytest.fixture
def fixed() -> Floats:
    return smooth_image(1)


@pytest.fixture
def warped() -> Floats:
    return smooth_image(2)


@pytest.fixture
def overlap() -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, bool)
    mask[5:35, 8:45] = True
    return mask


def test_mse_and_rmse_equal_skimage(fixed: Floats, warped: Floats) -> None:
    assert mse(fixed, warped) == pytest.approx(mean_squared_error(fixed, warped))
    assert rmse(fixed, warped) == pytest.approx(math.sqrt(mean_squared_error(fixed, warped)))


def test_ncc_equals_pearson(fixed: Floats, warped: Floats, overlap: NDArray[np.bool_]) -> None:
    expected = stats.pearsonr(fixed[overlap], warped[overlap]).statistic
    assert ncc(fixed, warped, overlap) == pytest.approx(expected)


def test_nmi_equals_skimage() -> None:
    fixed = np.random.default_rng(5).uniform(size=SHAPE)
    fixed[0, :2] = 0, 1  # the oracle's bins span what the image does
    warped = np.roll(fixed, 1) ** 2
    expected = normalized_mutual_information(fixed, warped, bins=64)
    assert nmi(fixed, warped) == pytest.approx(expected)


def test_ssim_equals_skimage_where_the_window_fits(fixed: Floats, warped: Floats) -> None:
    _, whole_map = structural_similarity(
        fixed,
        warped,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        full=True,
    )
    assert ssim(fixed, warped) == pytest.approx(whole_map[5:-5, 5:-5].mean(), abs=1e-9)


def test_ssim_equals_torchmetrics(fixed: Floats, warped: Floats) -> None:
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.image import structural_similarity_index_measure

    a, b = (torch.from_numpy(image)[None, None] for image in (fixed, warped))
    _, whole_map = structural_similarity_index_measure(a, b, data_range=1.0, return_full_image=True)
    expected = whole_map[..., 5:-5, 5:-5].mean().item()  # its own mean includes reflected borders
    assert ssim(fixed, warped) == pytest.approx(expected, abs=1e-6)


def test_ssim_on_an_overlap_is_ssim_of_the_part_cut_out(
    fixed: Floats, warped: Floats, overlap: NDArray[np.bool_]
) -> None:
    part = np.s_[5:35, 8:45]
    assert ssim(fixed, warped, overlap) == pytest.approx(ssim(fixed[part], warped[part]))


def test_dice_equals_scipy(fixed: Floats, warped: Floats, overlap: NDArray[np.bool_]) -> None:
    a, b = fixed > 0.6, warped > 0.5
    assert dice(a, b) == pytest.approx(1 - distance.dice(a.ravel(), b.ravel()))
    assert dice(a, b, overlap) == pytest.approx(1 - distance.dice(a[overlap], b[overlap]))


def test_soft_dice_is_one_less_bray_curtis_and_dice_on_masks(fixed: Floats, warped: Floats) -> None:
    expected = 1 - distance.braycurtis(fixed.ravel(), warped.ravel())
    assert soft_dice(fixed, warped) == pytest.approx(expected)
    assert soft_dice(fixed > 0.5, warped > 0.5) == dice(fixed > 0.5, warped > 0.5)


@pytest.mark.parametrize(
    ("metric", "best"), [(mse, 0), (rmse, 0), (ncc, 1), (nmi, 2), (ssim, 1), (soft_dice, 1)]
)
def test_an_image_against_itself_scores_best(metric: Metric, best: float, fixed: Floats) -> None:
    assert metric(fixed, fixed, None) == pytest.approx(best)


def test_ncc_of_a_negative_is_minus_one(fixed: Floats) -> None:
    assert ncc(fixed, 1 - fixed) == pytest.approx(-1)


def test_nmi_of_independent_halves_is_one() -> None:
    a = np.repeat([[0.0, 1.0]], 2, axis=0)
    assert nmi(a, a.T) == pytest.approx(1)


@pytest.mark.parametrize("metric", GRADED)
def test_outside_the_overlap_nothing_counts(
    metric: Metric, fixed: Floats, warped: Floats, overlap: NDArray[np.bool_]
) -> None:
    expected = metric(fixed, warped, overlap)
    spoiled = np.where(overlap, warped, 1 - warped)
    unknown = np.where(overlap, warped, np.nan)
    assert metric(fixed, spoiled, overlap) == expected
    assert metric(fixed, unknown, None) == expected


@pytest.mark.parametrize("metric", GRADED)
def test_an_empty_overlap_is_undefined(metric: Metric, fixed: Floats, warped: Floats) -> None:
    assert math.isnan(metric(fixed, warped, np.zeros(SHAPE, bool)))
    assert math.isnan(metric(fixed, np.full(SHAPE, np.nan), None))


def test_undefined_quotients_are_nan_and_warn_of_nothing(fixed: Floats) -> None:
    flat, empty = np.full(SHAPE, 0.3), np.zeros(SHAPE, bool)
    assert math.isnan(ncc(fixed, flat))
    assert math.isnan(nmi(flat, flat))
    assert nmi(fixed, flat) == pytest.approx(1)
    assert math.isnan(dice(empty, empty))
    assert math.isnan(ssim(fixed[:10], fixed[:10]))
    assert dice(empty, ~empty) == 0


def test_masks_are_graded_maps_of_zero_and_one(fixed: Floats, warped: Floats) -> None:
    a, b = fixed > 0.5, warped > 0.5
    assert mse(a, b) == (a != b).mean()


@pytest.mark.parametrize("metric", GRADED)
def test_arrays_that_do_not_belong_together_are_refused(metric: Metric, fixed: Floats) -> None:
    with pytest.raises(ContractError, match="grid"):
        metric(fixed, fixed[1:], None)
    with pytest.raises(ContractError, match="uint8"):
        metric(fixed, np.zeros(SHAPE, np.uint8), None)
    with pytest.raises(ContractError, match="overlap"):
        metric(fixed, fixed, np.ones((2, 2), bool))


def test_dice_refuses_graded_maps(fixed: Floats) -> None:
    with pytest.raises(ContractError, match="bool"):
        dice(fixed, fixed > 0.5)  # type: ignore[arg-type]
