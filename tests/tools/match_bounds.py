"""What matchers make of the keypoints of two fields of one eye, and what the best one could.

Run as a script; nothing here is collected by pytest::

    python tests/tools/match_bounds.py --data DATA --subset train --seed 300 --n 60

For nearest neighbours, SuperGlue and one who knows the truth: pairs below 5 px, matches a pair and
how many of them are right, within 3 px of the true place.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from stress_imed import Case, Points, cases, project

from imedbench.core.registry import METHODS
from imedbench.core.types import Image, Method
from imedbench.methods.superpoint_pipeline import FoundPoints, SuperPointMethod

NEAR_PX = 3.0  # the estimator's own threshold
RIGHT_PX = 5.0


@dataclass(kw_only=True, eq=False)
class WhoKnows(SuperPointMethod):
    """Matches the same keypoints by the truth: no matcher can do better."""

    name = "who knows the truth"
    summary = "SuperPoint keypoints matched by the truth"
    paper = ""
    truth: Points | None = None

    def _match(self, moving: FoundPoints, fixed: FoundPoints) -> torch.Tensor:
        assert self.truth is not None
        there = project(self.truth, moving.native)
        distance = np.linalg.norm(there[:, None] - fixed.native[None], axis=2)
        nearest, back = distance.argmin(axis=1), distance.argmin(axis=0)
        own = np.arange(len(there))
        right = (back[nearest] == own) & (distance[own, nearest] < NEAR_PX)
        return torch.from_numpy(np.column_stack([own, nearest])[right])


def judge(method: Method, case: Case, truth: Points) -> tuple[bool, int, int]:
    """Whether the answer is right, how many matches there are and how many are right."""
    answer = method.register(Image(case.fixed), Image(case.moving))
    found = answer.diagnostics.matches
    assert found is not None
    left = project(truth, found.moving) - found.fixed
    right = int((np.linalg.norm(left, axis=1) < NEAR_PX).sum())
    if answer.fixed_from_moving is None:
        return False, len(left), right
    mapped = answer.fixed_from_moving.apply(case.moving_points)
    error = np.linalg.norm(mapped - case.fixed_points, axis=1).mean()
    return bool(error < RIGHT_PX), len(left), right


def main() -> None:
    """Print one line for each matcher."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--subset", default="train", choices=["train", "test"])
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--seed", type=int, default=300)
    parser.add_argument("--methods", nargs="+", default=["superpoint-mnn", "superpoint-superglue"])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    knows = WhoKnows()
    methods: dict[str, Method] = {name: METHODS.create(name) for name in options.methods}
    methods[knows.name] = knows
    for method in methods.values():
        method.prepare("cpu")
    rows: dict[str, list[tuple[bool, int, int]]] = {name: [] for name in methods}
    for case in cases("fields", options.data, options.subset, options.n, options.seed):
        knows.truth = cv2.findHomography(case.moving_points, case.fixed_points)[0]
        for name, method in methods.items():
            rows[name].append(judge(method, case, knows.truth))
    for name, judged in rows.items():
        good, made, right = np.mean(judged, axis=0)
        print(
            f"{name:22s} below {RIGHT_PX:g} px {100 * good:.1f} %,"
            f" {made:.0f} matches a pair, {right:.0f} right"
        )


if __name__ == "__main__":
    main()
