"""Speed of each metric on a 512×512 pair, and of landmark errors over 10,000 pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy import ndimage

from imedbench.core.transforms import jacobian_determinant
from imedbench.metrics import intensity, landmarks, overlap, regularity

SIDE = 512
RNG = np.random.default_rng(0)
FIXED, WARPED = (
    (image - image.min()) / np.ptp(image)
    for image in (ndimage.gaussian_filter(RNG.normal(size=(SIDE, SIDE)), 3) for _ in range(2))
)
OVERLAP = np.hypot(*np.meshgrid(np.arange(SIDE) - 256, np.arange(SIDE) - 256)) < 250
GRID = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).astype(np.float32)


@pytest.mark.parametrize(
    "metric",
    [
        intensity.mse,
        intensity.rmse,
        intensity.ncc,
        intensity.nmi,
        intensity.ssim,
        overlap.soft_dice,
    ],
)
def test_image_metric(benchmark: BenchmarkFixture, metric: Callable[..., float]) -> None:
    benchmark(metric, FIXED, WARPED, OVERLAP)


def test_dice(benchmark: BenchmarkFixture) -> None:
    benchmark(overlap.dice, FIXED > 0.5, WARPED > 0.5, OVERLAP)


@pytest.mark.parametrize("metric", [regularity.folding, regularity.sd_log_j])
def test_regularity(benchmark: BenchmarkFixture, metric: Callable[..., float]) -> None:
    benchmark(lambda: metric(jacobian_determinant(GRID), OVERLAP))


def test_landmarks_of_10000_pairs(benchmark: BenchmarkFixture) -> None:
    mapped, fixed = RNG.uniform(0, SIDE, (2, 10_000, 8, 2))

    def score() -> None:
        for one, other in zip(mapped, fixed, strict=True):
            landmarks.tre_mean(one, other)
            landmarks.tre_median(one, other)
            landmarks.tre_max(one, other)

    benchmark.pedantic(score, rounds=3)
