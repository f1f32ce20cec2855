"""Prints what each method of a run has in the rivals' tables of docs/results.md.

    python tests/tools/rival_cells.py runs/rivals

Mean landmark error, px, with its 95 % interval (bootstrap over pairs, 10,000 draws); pairs that
failed, which are charged what leaving the images alone costs; pairs that are silently wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from imedbench.analysis.risk import silently_wrong
from imedbench.analysis.tables import pair_table
from imedbench.runs.store import Store

DRAWS = 10_000


def cell(rows: pd.DataFrame) -> str:
    """The cell of one method, or how many of its pairs have no answer."""
    missing = int((rows["outcome"] == "missing").sum())
    if missing:
        return f"{missing} of {len(rows)} pairs are missing"
    failed = rows["outcome"] != "ok"
    errors = rows["tre_mean"].where(~failed, rows["tre_mean|identity"]).to_numpy(np.float64)
    if np.isnan(errors).any():
        return "not scored"
    draws = np.random.default_rng(0).choice(errors, (DRAWS, len(errors))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    wrong = int(silently_wrong(rows).sum())
    median = np.median(errors)
    return f"{errors.mean():.1f} [{low:.1f}, {high:.1f}] {failed.sum()} · {wrong}  ({median:.2f})"


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        table = pair_table(Store(Path(folder)))
        for method, rows in table.groupby("method", sort=False):
            print(f"{method}: {cell(rows)}")
