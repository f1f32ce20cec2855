"""From the rows of a run to what the named protocols ask; no image is read for it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from imedbench.analysis.protocols import PROTOCOLS, LandmarkErrors, PairEvidence, RankTable
from imedbench.analysis.protocols.ranks import rank_table
from imedbench.analysis.tables import unanswered
from imedbench.core.arrays import Matrix
from imedbench.core.transforms import Homography, Transform
from imedbench.core.types import Outcome
from imedbench.runs.store import Store

_ERRORS = ("tre_mean", "tre_median", "tre_max", "tre_rms")
NEEDED = (*_ERRORS, "mse")
_FACTS = ("method", "pair_id", "outcome", "category", "n_matches", "key")
_COLUMNS = (*_FACTS, *NEEDED, "mse|identity", "tre_rms|identity")


def evidence(store: Store, table: pd.DataFrame) -> dict[str, list[PairEvidence]]:
    """Collect what is known of every pair of a split, by method.

    Args:
        store: of the run.
        table: rows of one split, of `imedbench.analysis.tables.pair_table`, scored by `NEEDED`.
    """
    matrices = _matrices(store)
    collected: dict[str, list[PairEvidence]] = {str(m): [] for m in table["method"].unique()}
    columns = {name: table[name].tolist() for name in _COLUMNS}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        # A degenerate transform is none: no protocol shall grade it on its errors. One that loses
        # a landmark has no finite error, and so no score.
        usable = row["outcome"] == Outcome.OK and pd.notna(row["tre_rms|identity"])
        errors = (np.inf if pd.isna(row[name]) else row[name] for name in _ERRORS)
        collected[row["method"]].append(
            PairEvidence(
                pair_id=row["pair_id"],
                outcome=Outcome(row["outcome"]),
                category=row["category"] or "",
                errors=LandmarkErrors(*errors) if usable else None,
                n_matches=None if pd.isna(row["n_matches"]) else int(row["n_matches"]),
                matrix=matrices.get(row["key"]),
                mse=_known(row["mse"]),
                identity_mse=_known(row["mse|identity"]),
            )
        )
    return collected


def protocol_ranks(store: Store, table: pd.DataFrame) -> RankTable | None:
    """Rank the methods of a split under every protocol.

    Args:
        store: of the run.
        table: rows of one split, of `imedbench.analysis.tables.pair_table`.

    Returns:
        None where a pair lacks its answer, or a success its landmarks or its mse.
    """
    if table.empty or not unanswered(table).empty or any(name not in table for name in NEEDED):
        return None
    unknown = table.loc[table["outcome"] == "ok", "mse"].isna().any()
    if unknown or table["tre_rms|identity"].isna().any():
        return None
    return rank_table(evidence(store, table), list(PROTOCOLS.values()))


def _matrices(store: Store) -> dict[str, Matrix]:
    """Matrices of affine maps and homographies, by key; transforms in files stay there."""
    kinds = [kind for kind, made in Transform.kinds.items() if issubclass(made, Homography)]
    rows = store.read(
        "SELECT key, json_extract(transform, '$.matrix') AS matrix FROM predictions"
        f" WHERE json_valid(transform) AND json_extract(transform, '$.kind') IN {(*kinds, '')}"
    )
    return dict(zip(rows["key"], map(_matrix, rows["matrix"]), strict=True))


def _matrix(text: str) -> Matrix:
    """A stored matrix as 3×3."""
    rows = json.loads(text)
    return np.array([*rows, [0, 0, 1]] if len(rows) == 2 else rows, np.float64)


def _known(value: float) -> float | None:
    return None if pd.isna(value) else value
