"""The registered metrics: which function compares what of a pair."""

from __future__ import annotations

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.metrics import MetricInfo, Need, RegisteredPair, register_metric
from imedbench.core.transforms import jacobian_determinant, pixel_grid
from imedbench.metrics import intensity, landmarks, overlap, regularity
from imedbench.metrics.reference_vessels import VERSION as READER

_LANDMARKS: frozenset[Need] = frozenset({"landmarks"})
_SPACED_LANDMARKS: frozenset[Need] = frozenset({"landmarks", "spacing"})
_SINGLE_MODAL: frozenset[Need] = frozenset({"single-modal"})
_BINARY = 0.5  # a soft vessel map is vessel from here on
_GRID_STEP = 16  # px between the points at which the two directions are compared


@register_metric(MetricInfo("tre_mean", "mean landmark error", "px", needs=_LANDMARKS))
def tre_mean(case: RegisteredPair) -> float:
    """Mean landmark error in fixed-image px."""
    return landmarks.tre_mean(*_landmarks(case))


@register_metric(MetricInfo("tre_median", "median landmark error", "px", needs=_LANDMARKS))
def tre_median(case: RegisteredPair) -> float:
    """Median landmark error in fixed-image px."""
    return landmarks.tre_median(*_landmarks(case))


@register_metric(MetricInfo("tre_max", "largest landmark error", "px", needs=_LANDMARKS))
def tre_max(case: RegisteredPair) -> float:
    """Largest landmark error in fixed-image px."""
    return landmarks.tre_max(*_landmarks(case))


@register_metric(MetricInfo("tre_rms", "root mean squared landmark error", "px", needs=_LANDMARKS))
def tre_rms(case: RegisteredPair) -> float:
    """Root of the mean squared landmark error in fixed-image px."""
    return landmarks.tre_rms(*_landmarks(case))


@register_metric(MetricInfo("tre_mean_um", "mean landmark error", "µm", needs=_SPACED_LANDMARKS))
def tre_mean_um(case: RegisteredPair) -> float:
    """Mean landmark error in µm."""
    return landmarks.tre_mean(*_landmarks(case), case.truth.spacing_um or np.nan)


@register_metric(MetricInfo("mse", "mean squared difference of the vessel maps", version=READER))
def mse(case: RegisteredPair) -> float:
    """Mean squared difference of the vessel maps over the overlap."""
    return intensity.mse(case.views.fixed_vessels, case.warped_vessels, case.overlap)


@register_metric(MetricInfo("rmse", "root of the pair's mse", version=READER))
def rmse(case: RegisteredPair) -> float:
    """Root of the pair's `mse`."""
    return intensity.rmse(case.views.fixed_vessels, case.warped_vessels, case.overlap)


@register_metric(
    MetricInfo("mse_image", "mean squared difference of the images", needs=_SINGLE_MODAL)
)
def mse_image(case: RegisteredPair) -> float:
    """Mean squared difference of the images over the overlap."""
    return intensity.mse(case.views.fixed_grey, case.warped_grey, case.overlap)


@register_metric(MetricInfo("rmse_image", "root of the pair's mse_image", needs=_SINGLE_MODAL))
def rmse_image(case: RegisteredPair) -> float:
    """Root of the pair's `mse_image`."""
    return intensity.rmse(case.views.fixed_grey, case.warped_grey, case.overlap)


@register_metric(
    MetricInfo("dice", "overlap of the vessels", higher_is_better=True, version=READER)
)
def dice(case: RegisteredPair) -> float:
    """Dice coefficient of the vessel maps cut at one half."""
    fixed, warped = case.views.fixed_vessels >= _BINARY, case.warped_vessels >= _BINARY
    return overlap.dice(fixed, warped, case.overlap)


@register_metric(
    MetricInfo(
        "soft_dice", "overlap of the soft vessel maps", higher_is_better=True, version=READER
    )
)
def soft_dice(case: RegisteredPair) -> float:
    """Dice coefficient of the soft vessel maps."""
    return overlap.soft_dice(case.views.fixed_vessels, case.warped_vessels, case.overlap)


@register_metric(MetricInfo("nmi", "normalised mutual information", higher_is_better=True))
def nmi(case: RegisteredPair) -> float:
    """Normalised mutual information of the images on the overlap."""
    return intensity.nmi(case.views.fixed_grey, case.warped_grey, case.overlap)


@register_metric(MetricInfo("ncc", "correlation of the grey levels", higher_is_better=True))
def ncc(case: RegisteredPair) -> float:
    """Correlation coefficient of the images on the overlap."""
    return intensity.ncc(case.views.fixed_grey, case.warped_grey, case.overlap)


@register_metric(MetricInfo("ssim", "structural similarity", higher_is_better=True))
def ssim(case: RegisteredPair) -> float:
    """Structural similarity of the images on the overlap."""
    return intensity.ssim(case.views.fixed_grey, case.warped_grey, case.overlap)


@register_metric(MetricInfo("folding", "share of the overlap where the transform folds"))
def folding(case: RegisteredPair) -> float:
    """Share of the overlap with a Jacobian determinant ≤ 0."""
    return regularity.folding(jacobian_determinant(case.sampling_map), case.overlap)


@register_metric(MetricInfo("sd_log_j", "spread of the local change of area"))
def sd_log_j(case: RegisteredPair) -> float:
    """Measure the standard deviation of the log of the Jacobian determinant on the overlap."""
    return regularity.sd_log_j(jacobian_determinant(case.sampling_map), case.overlap)


@register_metric(
    MetricInfo(
        "inverse_consistency",
        "mean error of going there and back",
        "px",
        needs=frozenset({"swapped"}),
        version="2",
    )
)
def inverse_consistency(case: RegisteredPair) -> float:
    """Mean distance from where they began of points that went there and came back.

    There by what the method found, back by what it found for the pair the other way round; over a
    grid of the moving image, those points that the fixed image shows.
    """
    assert case.swapped is not None  # scoring asks only what a row can answer
    height, width = (-(-side // _GRID_STEP) for side in case.views.pair.moving.shape)
    sparse = pixel_grid((height, width)) * _GRID_STEP
    there = case.fixed_from_moving.apply(sparse)
    shown = (np.round(there) >= 0).all(1) & (np.round(there) < case.views.pair.fixed.size).all(1)
    back = case.swapped.apply(there[shown])
    return regularity.inverse_consistency(sparse[shown], back)


def _landmarks(case: RegisteredPair) -> tuple[Points, Points]:
    """Moving landmarks brought to the fixed image, and where they belong."""
    moving, fixed = case.truth.moving_points, case.truth.fixed_points
    assert moving is not None  # scoring asks only what a pair can answer
    assert fixed is not None
    return case.fixed_from_moving.apply(moving), fixed
