"""Registration under hard conditions, on real images named by the user.

Run as a script; nothing here is collected by pytest::

    python tests/tools/stress_imed.py --data DATA --method imed --sets warps quarter --n 100

DATA and the sets are those of `hard_cases.py`.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from hard_cases import REFUSED, cases
from real_images import Case

from imedbench.core.registry import METHODS
from imedbench.core.types import Image, Method


def judge(method: Method, case: Case) -> dict[str, Any]:
    """One row: error over the landmarks (px), confidence, time (ms)."""
    fixed, moving = Image(case.fixed), Image(case.moving)
    start = time.perf_counter()
    answer = method.register(fixed, moving)
    row: dict[str, Any] = {"case": case.name, "ms": (time.perf_counter() - start) * 1e3}
    row["refused"] = answer.fixed_from_moving is None
    row["confidence"] = answer.confidence
    row["reason"] = answer.reason
    row["tre"] = float("nan")
    if answer.fixed_from_moving is not None and len(case.moving_points):
        mapped = answer.fixed_from_moving.apply(case.moving_points)
        error = np.linalg.norm(mapped - case.fixed_points, axis=1).mean()
        row["tre"] = float(error) if np.isfinite(error) else float("inf")
    row.update(answer.diagnostics.values)
    return row


def summary(name: str, rows: list[dict[str, Any]], related: bool) -> str:
    """One line of figures; a refused pair counts as a miss."""
    n = len(rows)
    refused = sum(r["refused"] for r in rows)
    ms = np.median([r["ms"] for r in rows])
    if not related:
        return f"{name:15s} n={n:3d} refused {refused}/{n} ms {ms:.0f}"
    errors = np.array([np.inf if r["refused"] else r["tre"] for r in rows])
    below = " ".join(f"<{t}: {100 * np.mean(errors < t):5.1f}%" for t in (2, 3, 5, 6))
    good = errors[errors < 20]
    mean = good.mean() if good.size else float("nan")
    wrong = int(sum(errors[np.isfinite(errors)] >= 10))
    return (
        f"{name:15s} n={n:3d} {below} median {np.median(errors):5.2f} mean<20 {mean:.2f}"
        f" refused {refused} accepted>10px {wrong} ms {ms:.0f}"
    )


def main() -> None:
    """Run the sets and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--method", default="imed")
    parser.add_argument("--sets", nargs="+", default=["cf_octa", "warps", "quarter", "degraded"])
    parser.add_argument("--subset", default="train", choices=["train", "test", "all"])
    parser.add_argument("--n", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=Path, help="CSV file for one row a case")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    method: Method = METHODS.create(options.method)
    method.prepare("cpu")
    every = []
    for name in options.sets:
        found = cases(name, options.data, options.subset, options.n, options.seed)
        rows = [{"set": name, **judge(method, case)} for case in found]
        print(summary(name, rows, name not in REFUSED), flush=True)
        every += rows
    if options.rows:
        with options.rows.open("w", newline="") as file:
            names = list(dict.fromkeys(key for row in every for key in row))
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(every)


if __name__ == "__main__":
    main()
