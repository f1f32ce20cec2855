"""What speaks for an answer, and what is made of it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from imedbench.methods.imed.lines import Lines, build_targets
from imedbench.methods.imed.selfcheck import _SCATTER, Evidence, gather_evidence

SHAPE = (240, 256)
BASE = Evidence(0.4, 40, overlap=0.5, met_length=600, spread=0.9, pixel=1 / 512, lead=0.1)


def rails(*, offset: float, spacing: float = 40.0) -> Lines:
    """Level lines, so far below where they belong, px."""
    x, y = np.meshgrid(np.arange(4.0, 252.0), np.arange(20.0, 230.0, spacing) + offset)
    points = np.column_stack([x.ravel(), y.ravel()]).astype(np.float32)
    count = len(points)
    fov = np.ones(SHAPE, bool)
    return Lines(points, np.zeros(count, np.float32), np.ones(count, np.float32), fov)


@pytest.mark.parametrize("offset", [0.0, 0.4, 1.3, -2.0])
def test_the_spread_is_how_far_apart_the_vessels_run(offset: float) -> None:
    evidence = gather_evidence(
        build_targets(rails(offset=0)), build_targets(rails(offset=offset)), np.eye(3)
    )
    assert evidence.spread == pytest.approx(abs(offset), abs=0.01)
    assert evidence.met_length == 2 * 6 * 248  # every point of six lines, asked both ways
    assert evidence.pixel == 1 / 256


def test_the_spread_is_in_px_of_the_coarser_image() -> None:
    fixed = build_targets(rails(offset=1.6, spacing=80))
    moving = build_targets(rails(offset=-10.0))  # at 10, 50, 90 px and so on, doubled 20, 100, 180
    evidence = gather_evidence(fixed, moving, np.diag([2.0, 2.0, 1.0]))
    assert evidence.spread == pytest.approx(1.6 / 2, abs=0.01)
    assert evidence.pixel == 2 / 256


def test_where_nothing_meets_the_spread_is_the_radius() -> None:
    fixed, moving = rails(offset=0), rails(offset=20)
    evidence = gather_evidence(build_targets(fixed), build_targets(moving), np.eye(3))
    assert evidence.spread == 3.0
    assert evidence.confidence < 0.01


def test_more_evidence_means_more_confidence() -> None:
    for name, values in {
        "excess_match_rate": (0.2, 0.4, 0.6),
        "met_length": (300, 600, 1200),
        "overlap": (0.3, 0.5, 0.7),
        "lead": (0.0, 0.1, 0.3),
        "spread": (1.1, 0.9, 0.7),
        "pixel": (1 / 256, 1 / 512, 1 / 1024),
    }.items():
        rising = [replace(BASE, **{name: value}).confidence for value in values]
        assert 0 < rising[0] < rising[1] < rising[2] < 1, name


def test_hardly_overlapping_images_are_not_believed() -> None:
    sure = replace(BASE, met_length=2000, lead=0.5)
    assert sure.trust > 0.99
    assert replace(sure, overlap=0.1).confidence == 0.0


def test_an_answer_is_as_likely_right_as_errors_scatter_about_the_expected() -> None:
    certain = replace(BASE, excess_match_rate=1.0, met_length=4000, lead=9)
    assert certain.trust == pytest.approx(1, abs=3e-6)
    for pixel in (1 / 400, 1 / 200, 1 / 100):
        evidence = replace(certain, pixel=pixel)
        # P(error < 1 %) of a lognormal error about the expected one
        expected = norm.cdf((np.log(0.01) - np.log(evidence.expected_error)) / _SCATTER)
        assert evidence.confidence == pytest.approx(expected, rel=1e-5)
    assert replace(certain, spread=0.0).expected_error > 0


def test_the_lead_is_over_the_best_different_answer() -> None:
    wrong, right, worst = (replace(BASE, z_score=z) for z in (20.0, 30.0, 9.0))
    assert right.lead_over([wrong, worst]) == pytest.approx(np.log(31 / 21))
    assert wrong.lead_over([right]) < 0
    alone = replace(right, lead=right.lead_over([]))
    assert alone.confidence == replace(right, lead=5.0).confidence
