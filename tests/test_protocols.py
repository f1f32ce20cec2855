"""Protocols on hand-worked evidence, their curves against loops and step functions."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate

from imedbench.analysis.protocols import (
    PROTOCOLS,
    Grade,
    LandmarkErrors,
    PairEvidence,
    find_protocol,
    rank_table,
)
from imedbench.analysis.protocols.curves import auc_below, auc_recall, auc_up_to
from imedbench.core.errors import BadInput, ContractError, IncompleteRun
from imedbench.core.types import Outcome

SHIFT = np.array([[1.0, 0.0, 9.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def pair(
    pair_id: str,
    errors: list[float] | None,
    category: str = "",
    n_matches: int | None = 40,
    matrix: NDArray[np.float64] | None = SHIFT,
    mse: float | None = None,
) -> PairEvidence:
    """A pair with the errors given, failed for want of a transform without any."""
    outcome = Outcome.NO_TRANSFORM if errors is None else Outcome.OK
    known = None if errors is None else summed_up(errors)
    return PairEvidence(pair_id, outcome, category, known, n_matches, matrix, mse)


def summed_up(errors: list[float]) -> LandmarkErrors:
    """The figures of landmark errors that are stored as scores."""
    rms = math.sqrt(sum(e**2 for e in errors) / len(errors))
    return LandmarkErrors(sum(errors) / len(errors), statistics.median(errors), max(errors), rms)


def grade(protocol: str, evidence: PairEvidence) -> Grade:
    return PROTOCOLS[protocol].grade(evidence)


# Curves


def test_auc_below_by_hand() -> None:
    # 0.5 counts at all 25 thresholds, 24.5 at one, 25 at none, a failure at none.
    assert auc_below([0.5, 24.5, 25.0, math.inf]) == pytest.approx((25 + 1) / 100)
    assert auc_below([0.5], limit=3) == 1
    assert auc_below([math.inf]) == 0
    assert auc_below([3.0]) == pytest.approx(22 / 25)  # at t = 4 … 25, not at 3


def test_auc_up_to_counts_equality_and_one_threshold_more() -> None:
    assert auc_up_to([3.0]) == pytest.approx(23 / 25)  # at t = 3 … 25
    assert auc_up_to([0.0]) == pytest.approx(26 / 25)
    assert auc_up_to([25.0, math.inf]) == pytest.approx(1 / 50)


def test_auc_recall_by_hand() -> None:
    # Errors 1 and 3 of n = 4, threshold 5: straight to (1, ¼), on to (3, ½), level to 5.
    expected = (1 * 0.25 / 2 + 2 * (0.25 + 0.5) / 2 + 2 * 0.5) / 5
    assert auc_recall([3.0, math.inf, 1.0, 5.0], 5) == pytest.approx(expected)
    assert auc_recall([math.inf], 5) == 0
    assert auc_recall([0.0, 0.0], 5) == 1


def test_auc_recall_equals_an_integral_of_the_interpolated_curve() -> None:
    errors = np.random.default_rng(0).exponential(8, 50)
    x = np.concatenate([[0], np.sort(errors)])
    inside = x < 10
    dense = np.linspace(0, 10, 200_001)
    curve = np.interp(dense, x[inside], np.linspace(0, 1, x.size)[inside])
    expected = integrate.trapezoid(curve, dense) / 10
    assert auc_recall(errors.tolist(), 10) == pytest.approx(expected, abs=1e-6)


# FIRE


def test_superretina_grades_include_their_limits() -> None:
    name = "fire-superretina-v1"
    assert grade(name, pair("a", [20.0, 20.0, 50.0])) is Grade.ACCEPTABLE
    assert grade(name, pair("a", [20.1, 20.1, 50.0])) is Grade.INACCURATE
    assert grade(name, pair("a", [1.0, 1.0, 50.1])) is Grade.INACCURATE
    assert grade(name, pair("a", [1.0, 1.0, math.inf])) is Grade.INACCURATE
    assert grade(name, pair("a", None)) is Grade.FAILED


def test_glampoints_grades_exclude_their_limits() -> None:
    name = "fire-glampoints-v1"
    assert grade(name, pair("a", [9.9, 9.9, 29.9])) is Grade.ACCEPTABLE
    assert grade(name, pair("a", [10.0, 10.0, 11.0])) is Grade.INACCURATE
    assert grade(name, pair("a", [1.0, 1.0, 30.0])) is Grade.INACCURATE
    assert grade(name, pair("a", None)) is Grade.FAILED


FIRE = [
    pair("S01", [1.0, 2.0], "S"),  # mean 1.5: t = 2 … 25, 24 thresholds
    pair("S02", [30.0, 60.0], "S"),  # inaccurate, beyond all thresholds
    pair("P01", [10.0, 14.0], "P"),  # mean 12: t = 13 … 25, 13 thresholds
    pair("A01", None, "A"),
    pair("control_points_P37_1_2", [0.0, 0.0], "P"),
]


def test_superretina_averages_categories_and_leaves_the_bad_pair_out() -> None:
    result = PROTOCOLS["fire-superretina-v1"].evaluate(FIRE)
    assert result.n == 4
    assert result.excluded == ("control_points_P37_1_2",)
    assert result.figures == pytest.approx(
        {
            "failed": 0.25,
            "inaccurate": 0.25,
            "acceptable": 0.5,
            "auc_S": 24 / 50,
            "auc_P": 13 / 25,
            "auc_A": 0,
            "mauc": (24 / 50 + 13 / 25) / 3,
            "mee": (1.5 + 45 + 12) / 3,
            "mae": (2 + 60 + 14) / 3,
        }
    )
    assert result.count(Grade.ACCEPTABLE) == 2
    assert result.grades["A01"] is Grade.FAILED


def test_glampoints_counts_every_pair() -> None:
    result = PROTOCOLS["fire-glampoints-v1"].evaluate(FIRE)
    rates = {"failed": 0.2, "inaccurate": 0.4, "acceptable": 0.4}
    assert result.figures == pytest.approx(
        rates | {"mee": (1.5 + 45 + 12 + 0) / 4, "mae": (2 + 60 + 14 + 0) / 4}
    )


def test_retinaregnet_pools_categories() -> None:
    result = PROTOCOLS["fire-retinaregnet-v1"].evaluate(FIRE)
    # 1.5 at 24 thresholds, 12 at 14 of them, 0 at all 26.
    assert result.figures == pytest.approx({"auc": (24 + 14 + 26) / (5 * 25), "failed": 0.2})
    assert result.grades["S02"] is Grade.REGISTERED


def test_flori_sums_thresholds_up_to_a_hundred_pixels() -> None:
    result = PROTOCOLS["flori-auc-v1"].evaluate(FIRE)
    # 1.5 at t = 2 … 100, 45 at 56 thresholds, 12 at 89, 0 at all 101.
    assert result.figures == pytest.approx({"auc": (99 + 56 + 89 + 101) / 500, "failed": 0.2})
    assert "not available" in PROTOCOLS["flori-auc-v1"].caveat


def test_without_categories_there_is_one_area() -> None:
    figures = PROTOCOLS["fire-superretina-v1"].evaluate([pair("a", [1.0])]).figures
    assert figures["auc"] == figures["mauc"] == pytest.approx(24 / 25)


def test_mean_landmark_error_by_category_with_and_without_the_bad_pair() -> None:
    bad = pair("P37_1_2", [8.0], "P")
    result = PROTOCOLS["fire-mle-v1"].evaluate([*FIRE[:4], bad])
    assert result.figures == pytest.approx(
        {
            "mle": (1.5 + 45 + 12) / 3,
            "mle_A": math.nan,
            "mle_P": 12,
            "mle_S": (1.5 + 45) / 2,
            "mle_with_P37": (1.5 + 45 + 12 + 8) / 4,
            "failed": 0.2,
        },
        nan_ok=True,
    )


def test_success_is_an_error_below_ten_pixels() -> None:
    evidence = [pair("a", [1.0, 7.0]), pair("b", [9.0, 11.0]), pair("c", [10.0]), pair("d", None)]
    memo = PROTOCOLS["memo-success-v1"].evaluate(evidence)
    assert memo.figures["success"] == 0.25, "√101 px is beyond 10"
    assert memo.figures["rmse_of_successes"] == pytest.approx(5)
    redfeat = PROTOCOLS["redfeat-srr-v1"].evaluate([pair("a", [1.0, 7.0]), pair("b", [9.0, 10.0])])
    assert redfeat.figures["success"] == 1
    assert redfeat.figures["mean_of_successes"] == pytest.approx((4 + 9.5) / 2)


# IMED


def test_seed_table() -> None:
    evidence = [
        PairEvidence("a", Outcome.OK, mse=0.04, identity_mse=0.25),
        PairEvidence("b", Outcome.OK, mse=0.16, identity_mse=0.25),
        PairEvidence("c", Outcome.DEGENERATE, mse=0.9, identity_mse=0.36),
        PairEvidence("d", Outcome.TIMEOUT, identity_mse=0.64),
    ]
    result = PROTOCOLS["imed-seed-v1"].evaluate(evidence)
    assert result.figures == pytest.approx(
        {
            "mse": 0.1,
            "rmse": 0.3,  # mean of 0.2 and 0.4: less than √0.1
            "failures": 2,
            "mse_penalised": (0.04 + 0.16 + 0.36 + 0.64) / 4,
            "rmse_penalised": (0.2 + 0.4 + 0.6 + 0.8) / 4,
        }
    )
    assert result.grades["c"] is Grade.FAILED
    assert result.n == 4


def test_seed_table_of_nothing_but_failures() -> None:
    result = PROTOCOLS["imed-seed-v1"].evaluate([PairEvidence("a", Outcome.NO_TRANSFORM)])
    assert math.isnan(result.figures["mse"])
    assert math.isnan(result.figures["mse_penalised"])
    assert result.order_key == (1, math.inf)


def test_seed_table_needs_an_mse_of_each_registered_pair() -> None:
    with pytest.raises(IncompleteRun, match="pair a"):
        PROTOCOLS["imed-seed-v1"].evaluate([PairEvidence("a", Outcome.OK)])


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (pair("a", [1.0, 2.0]), Grade.ACCEPTABLE),
        (pair("a", [20.0, 20.0, 50.0]), Grade.ACCEPTABLE),
        (pair("a", [20.0, 20.0, 50.1]), Grade.INACCURATE),
        (pair("a", [20.1]), Grade.INACCURATE),
        (pair("a", None), Grade.FAILED),
        (pair("a", [1.0, math.inf]), Grade.FAILED),
        (pair("a", [1.0], n_matches=3), Grade.FAILED),
        (pair("a", [1.0], n_matches=4), Grade.ACCEPTABLE),
        (pair("a", [1.0], n_matches=None, matrix=None), Grade.ACCEPTABLE),
        (pair("a", [1.0], matrix=np.eye(3)), Grade.FAILED),
        (pair("a", [1.0], matrix=2 * np.eye(3)), Grade.FAILED),
        (pair("a", [1.0], matrix=np.eye(3) + 0.0009), Grade.FAILED),
        (pair("a", [1.0], matrix=np.eye(3) + 0.002 * SHIFT), Grade.ACCEPTABLE),
        (pair("a", [1.0], matrix=np.full((3, 3), np.nan)), Grade.FAILED),
    ],
)
def test_lab_grades(evidence: PairEvidence, expected: Grade) -> None:
    assert grade("imed-lab-v3", evidence) is expected


def test_lab_figures_by_hand() -> None:
    evidence = [pair("a", [3.0, 1.0]), pair("b", [6.0]), pair("c", [30.0]), pair("d", None)]
    result = PROTOCOLS["imed-lab-v3"].evaluate(evidence)
    means = [2.0, 6.0, 30.0, 1e6]
    assert result.figures == pytest.approx(
        {
            "failed": 0.25,
            "inaccurate": 0.25,
            "acceptable": 0.5,
            "mse": (5 / 2 + 36 / 2) / 2,  # per pair: mean squared distance, halved
            "mace": (2 + 6) / 2,
            "auc_5": auc_recall(means, 5),
            "auc_10": auc_recall(means, 10),
            "auc_20": auc_recall(means, 20),
            "mauc": (23 + 19) / 100,
        }
    )


def test_lab_mse_is_that_of_the_coordinates() -> None:
    offsets = np.random.default_rng(1).normal(size=(7, 2))
    errors = np.linalg.norm(offsets, axis=1)
    figures = PROTOCOLS["imed-lab-v3"].evaluate([pair("a", errors.tolist())]).figures
    assert figures["mse"] == pytest.approx(np.mean(offsets**2))


def test_lab_without_an_acceptable_pair_has_no_mse() -> None:
    figures = PROTOCOLS["imed-lab-v3"].evaluate([pair("a", None), pair("b", None)]).figures
    assert math.isnan(figures["mse"])
    assert math.isnan(figures["mace"])
    assert figures["mauc"] == figures["auc_20"] == 0


# What every protocol refuses


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("outcome", [Outcome.CRASH, Outcome.SKIPPED])
def test_incomplete_sets_are_refused(name: str, outcome: Outcome) -> None:
    good = PairEvidence("a", Outcome.OK, errors=summed_up([1.0]), mse=0.1)
    with pytest.raises(IncompleteRun, match="pair b"):
        PROTOCOLS[name].evaluate([good, PairEvidence("b", outcome)])
    with pytest.raises(IncompleteRun):
        PROTOCOLS[name].evaluate([])
    with pytest.raises(ContractError, match="twice"):
        PROTOCOLS[name].evaluate([good, good])


def test_a_transform_without_landmarks_is_no_failure_but_a_gap() -> None:
    for name in set(PROTOCOLS) - {"imed-seed-v1"}:
        with pytest.raises(IncompleteRun, match="no landmarks"):
            PROTOCOLS[name].evaluate([PairEvidence("a", Outcome.OK)])


@pytest.mark.parametrize("error", [-1.0, math.nan])
def test_errors_must_be_distances(error: float) -> None:
    with pytest.raises(ContractError, match="distances"):
        LandmarkErrors(1.0, 1.0, error, 1.0)


def test_unknown_protocols_are_named_with_the_known_ones() -> None:
    assert find_protocol("imed-lab-v3") is PROTOCOLS["imed-lab-v3"]
    with pytest.raises(BadInput, match="imed-seed-v1"):
        find_protocol("imed-lab-v9")


# Ranks


def test_equal_methods_share_their_rank_under_every_protocol() -> None:
    evidence = {
        "steady": [pair("a", [9.0]), pair("b", [9.0])],
        "brilliant": [pair("a", [0.5]), pair("b", None)],
        "twin": [pair("a", [9.0]), pair("b", [9.0])],
    }
    table = rank_table(
        evidence, [PROTOCOLS["fire-glampoints-v1"], PROTOCOLS["fire-superretina-v1"]]
    )
    # glampoints: 2, 1, 2 acceptable. superretina: 16/25 twice, 25/50 for the brilliant one.
    assert table.methods == ("steady", "twin", "brilliant")
    np.testing.assert_array_equal(table.ranks, [[1.5, 1.5], [1.5, 1.5], [3, 3]])
    np.testing.assert_array_equal(table.moves, [0, 0, 0])


def test_the_seed_table_and_the_curve_disagree_about_a_failure() -> None:
    def evidence(errors: list[float | None], mse: float) -> list[PairEvidence]:
        return [
            pair(f"p{i}", None if e is None else [e], mse=None if e is None else mse)
            for i, e in enumerate(errors)
        ]

    by_method = {"safe": evidence([20.0, 20.0], 0.2), "bold": evidence([1.5, None], 0.1)}
    table = rank_table(by_method, [PROTOCOLS["imed-seed-v1"], PROTOCOLS["imed-lab-v3"]])
    assert table.rows() == [
        {"method": "safe", "imed-seed-v1": 1.0, "imed-lab-v3": 2.0, "moves": 1.0},
        {"method": "bold", "imed-seed-v1": 2.0, "imed-lab-v3": 1.0, "moves": 1.0},
    ]
    assert table.results["bold"]["imed-seed-v1"].figures["mse"] == pytest.approx(0.1)


def test_only_methods_on_the_same_pairs_are_ranked() -> None:
    with pytest.raises(ContractError, match="same pairs"):
        rank_table({"a": [pair("x", [1.0])], "b": [pair("y", [1.0])]}, list(PROTOCOLS.values()))
    with pytest.raises(ContractError, match="needs"):
        rank_table({}, [])
