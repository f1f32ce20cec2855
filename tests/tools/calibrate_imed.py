"""Fit the self-check of `imed` and `imed-fast` to answers on real images named by the user.

Run as a script; nothing here is collected by pytest::

    python tests/tools/calibrate_imed.py --data DATA --rows ROWS.csv

DATA is as of `hard_cases.py`; only its training eyes are used, and drawn ones. To be run again
whenever the vessel maps change: about seven minutes of one core. Prints the constants of
`methods/imed/selfcheck.py` as they stand there, then what they are worth on eyes that were left
out: each answer, the likeliest of a pair's attempts, is judged by a fit that saw neither of its
eyes. ROWS.csv keeps what every attempt had to say; where it exists it is read, and the fit takes
seconds.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parent))

from hard_cases import cases
from real_images import Case

from imedbench.core.transforms import Homography
from imedbench.core.types import Image, Transform
from imedbench.methods.imed import attempt
from imedbench.methods.imed.method import Imed, ImedFast

FEATURES = ["excess_match_rate", "log_met_length", "overlap", "lead", "spread"]
# How many cases of each set: wrong answers come from strangers and from attempts that fail.
SETS = {
    "faded": 30,
    "fields": 40,
    "strangers": 76,
    "drawn": 30,
    "wide": 24,
    "degraded": 24,
    "unrelated_eyes": 20,
    "quarter": 20,
    "wide_faded": 16,
    "warps": 8,
}
EXACT = ("fields", "drawn", "wide", "wide_faded")  # whose landmarks are exact
# Share of the fixed image's longer side, 5 and 10 px of 512; what lies between is left out.
RIGHT, WRONG = 0.01, 0.02
SURE = 0.95  # trust at which the methods try no further
FOLDS = 5
PULL = 0.1  # to zero, on weights of features of unit deviation

Floats = NDArray[np.float64]


# ---- collecting ---------------------------------------------------------------------------------


def collect(data: Path, seed: int) -> pd.DataFrame:
    """One row an attempt of either method, until one is right and sure of it."""
    methods = [Imed(), ImedFast()]
    for method in methods:
        method.prepare("cpu")
    prepare, known = attempt.prepare, dict[tuple[int, float], attempt.Prepared]()

    def prepare_once(image: Image, scale: float, segment: Any) -> attempt.Prepared:
        """Both methods look at the same two sizes."""
        key = id(image), scale
        if key not in known:
            known[key] = prepare(image, scale, segment)
        return known[key]

    attempt.prepare = prepare_once
    rows = []
    for name, n in SETS.items():
        for index, case in enumerate(cases(name, data, "train", n, seed)):
            known.clear()
            images = Image(case.fixed), Image(case.moving)
            for method in methods:
                for row in attempts(method, case, *images):
                    rows.append({"set": name, "case": f"{name}/{index}", **row})
        print(name, n, "cases", flush=True)
    return pd.DataFrame(rows)


def attempts(method: Imed, case: Case, fixed: Image, moving: Image) -> Iterator[dict[str, Any]]:
    """What attempts of the method's plan have to say for themselves, and their error.

    Also that of what the method would return, with the polish and the bend that follow.
    """
    for found in method.attempts(fixed, moving):
        error = error_of(Homography(found.native_pose), case)
        evidence = found.evidence
        yield {
            "method": method.name,
            "fixed_eye": case.eyes[0],
            "moving_eye": case.eyes[-1],
            "error": error,
            "returned": error_of(method._transform(found)[0], case) if error < WRONG else np.inf,
            "pixel": evidence.pixel,
            **dict(zip(FEATURES, evidence.features(), strict=True)),
        }
        if error < RIGHT and evidence.trust > SURE:
            break


def error_of(transform: Transform, case: Case) -> float:
    """Mean landmark error as a share of the fixed image's longer side, infinite for strangers."""
    if not len(case.moving_points):
        return float("inf")
    gaps = np.linalg.norm(transform.apply(case.moving_points) - case.fixed_points, axis=1)
    return float(gaps.mean()) / max(case.fixed.shape[:2])


# ---- fitting ------------------------------------------------------------------------------------


def fit(features: Floats, right: Floats) -> Floats:
    """Logistic regression with a slight pull to zero: offset, then a weight a feature."""
    mean, spread = features.mean(0), features.std(0) + 1e-9
    design = np.column_stack([np.ones(len(features)), (features - mean) / spread])

    def loss(weights: Floats) -> float:
        odds = design @ weights
        return float((np.logaddexp(0, odds) - right * odds).sum() + PULL * (weights[1:] ** 2).sum())

    def slope(weights: Floats) -> Floats:
        pull = np.concatenate([[0.0], 2 * PULL * weights[1:]])
        return np.asarray(design.T @ (expit(design @ weights) - right) + pull)

    weights = minimize(loss, np.zeros(design.shape[1]), jac=slope, method="BFGS").x
    scaled = weights[1:] / spread
    return np.array([weights[0] - scaled @ mean, *scaled])


def fit_error(table: pd.DataFrame) -> tuple[Floats, float]:
    """Line through the logarithms of spread and returned error (coarser px), and scatter."""
    x, y = np.log(table["spread"]), np.log(table["returned"] / table["pixel"])
    slope, offset = np.polyfit(x, y, 1)
    return np.array([offset, slope]), float((y - offset - slope * x).std())


def judge_left_out(table: pd.DataFrame) -> Floats:
    """Probability of being right of every attempt, by fits that saw neither of its eyes."""
    folds = np.column_stack(
        [
            [zlib.crc32(eye.encode()) % FOLDS for eye in table[side]]
            for side in ("fixed_eye", "moving_eye")
        ]
    )
    features, right = table[FEATURES].to_numpy(float), table["right"].to_numpy(float)
    chance = np.empty(len(table))
    for pair in product(range(FOLDS), repeat=2):
        asked = (folds == pair).all(1)
        if asked.any():
            seen = ~np.isin(folds, pair).any(1) & table["clear"].to_numpy()
            weights = fit(features[seen], right[seen])
            chance[asked] = expit(weights[0] + features[asked] @ weights[1:])
    return chance


# ---- reporting ----------------------------------------------------------------------------------


def report(name: str, chance: Floats, right: Floats) -> None:
    """Print what asking for a probability flags and withholds, and risk against coverage."""
    wrong, good = chance[right == 0], chance[right == 1]
    print(f"\n{name}: {len(good)} right and {len(wrong)} wrong answers, each on eyes left out")
    for believed in (0.5, 0.7, 0.9, float(np.quantile(wrong, 0.99))):
        flagged, withheld = (wrong < believed).mean(), (good < believed).mean()
        print(f"asked {believed:.3f}: wrong flagged {flagged:.2%}, right withheld {withheld:.2%}")
    surest = right[np.argsort(-chance, kind="stable")]
    risk = np.cumsum(1 - surest) / np.arange(1, len(surest) + 1)
    shares = (0.25, 0.5, 0.9, 0.99, 1.0)
    kept = [max(round(share * len(good)), 1) for share in shares]
    curve = ", ".join(f"{s:.0%} {risk[k - 1]:.2%}" for s, k in zip(shares, kept, strict=True))
    print(f"answers kept, as a share of all right ones, and risk: {curve}")


def written(values: Sequence[float] | Floats) -> str:
    """As it stands in the code."""
    return "(" + ", ".join(f"{value:.2f}" for value in values) + ")"


def main() -> None:
    """Collect or read the rows, fit, and report on what was left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--rows", type=Path, help="CSV file that keeps what was collected")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if options.rows and options.rows.exists():
        table = pd.read_csv(options.rows)
    else:
        table = collect(options.data, options.seed)
        if options.rows:
            table.to_csv(options.rows, index=False)
    table["right"] = (table["error"] < RIGHT).astype(float)
    table["clear"] = (table["error"] < RIGHT) | (table["error"] > WRONG)
    clear = table[table["clear"]]
    exact = table[(table["error"] < WRONG) & table["set"].isin(EXACT)]
    weights, (line, scatter) = (
        fit(clear[FEATURES].to_numpy(float), clear["right"]),
        fit_error(exact),
    )
    print(f"\n_OFFSET, _WEIGHTS = {weights[0]:.2f}, {written(weights[1:])}")
    print(f"_ERROR, _SCATTER = {written(line)}, {scatter:.2f}")
    table["chance"] = judge_left_out(table)
    surest = table.groupby(["method", "case"])["chance"].idxmax()
    answers = table.loc[surest].query("clear")
    for name, of in answers.groupby("method"):
        report(str(name), of["chance"].to_numpy(float), of["right"].to_numpy(float))
    rank = spearmanr(exact["spread"], exact["returned"] / exact["pixel"]).statistic
    print(f"\nspread orders {len(exact)} exact errors with rank correlation {rank:.2f}")


if __name__ == "__main__":
    main()
