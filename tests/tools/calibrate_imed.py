"""Fit the self-check of `imed` to right and wrong answers on real images named by the user.

Run as a script; nothing here is collected by pytest::

    python tests/tools/calibrate_imed.py --data DATA --n 100 --seed 21

DATA is as of `stress_imed.py`; only its training eyes are used. Prints the numbers that stand in
`methods/imed/selfcheck.py`, and how well they would tell answers on eyes that were left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).parent))

from stress_imed import Case, cases, project

from imedbench.core.types import Image
from imedbench.methods.imed.method import Imed

FEATURES = ("excess_match_rate", "log_z_score", "overlap", "lead")
SETS = ("fields", "degraded", "quarter", "warps", "unrelated", "unrelated_eyes")
RIGHT, WRONG = 5.0, 10.0  # px of mean landmark error; what lies between is left out
FOLDS = 5


def attempts(method: Imed, case: Case) -> Iterator[dict[str, Any]]:
    """What every attempt of the method's plan has to say for itself, and whether it is right."""
    for found in method.attempts(Image(case.fixed), Image(case.moving)):
        evidence, error = found.evidence, np.inf
        if len(case.moving_points):
            mapped = project(found.native_pose, case.moving_points)
            error = float(np.linalg.norm(mapped - case.fixed_points, axis=1).mean())
        yield {
            **dict(zip(FEATURES, evidence.features(), strict=True)),
            "right": float(error < RIGHT),
            "between": RIGHT <= error < WRONG,
        }


def fit(features: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logistic regression with a slight pull to zero: offset, then a weight a feature."""
    mean, spread = features.mean(0), features.std(0) + 1e-9
    design = np.column_stack([np.ones(len(features)), (features - mean) / spread])

    def loss(weights: NDArray[np.float64]) -> float:
        odds = design @ weights
        return float((np.logaddexp(0, odds) - right * odds).sum() + 1e-3 * (weights[1:] ** 2).sum())

    weights = minimize(loss, np.zeros(design.shape[1])).x
    scaled = weights[1:] / spread
    return np.array([weights[0] - scaled @ mean, *scaled])


def main() -> None:
    """Run the sets, fit, and report on what was left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=21)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    method = Imed()
    method.prepare("cpu")
    rows = [
        {"case": f"{name}/{index}", **row}
        for name in SETS
        for index, case in enumerate(cases(name, options.data, "train", options.n, options.seed))
        for row in attempts(method, case)
    ]
    table = pd.DataFrame(rows)
    table = table[~table["between"]]
    features, right = table[list(FEATURES)].to_numpy(float), table["right"].to_numpy(float)
    print("offset, " + ", ".join(FEATURES), np.round(fit(features, right), 2))
    fold = pd.factorize(table["case"])[0] % FOLDS
    chance = np.empty(len(table))
    for k in range(FOLDS):
        weights = fit(features[fold != k], right[fold != k])
        chance[fold == k] = 1 / (1 + np.exp(-weights[0] - features[fold == k] @ weights[1:]))
    for believed in (0.5, 0.7, 0.8, 0.9):
        flagged = (chance[right == 0] < believed).mean()
        withheld = (chance[right == 1] < believed).mean()
        print(f"believed {believed}: wrong flagged {flagged:.3f}, right withheld {withheld:.3f}")


if __name__ == "__main__":
    main()
