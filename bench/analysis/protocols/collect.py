"""From the rows of a run to what the named protocols ask; no image is read for it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from imedbench.analysis.protocols import PROTOCOLS, LandmarkErrors, PairEvidence, RankTable
from imedbench.analysis.protocols.ranks import rank_table
from imedbench.analysis.tables import unanswered
from imedbench.core.arrays import Matrix
from imedbench.core.errors import BadInput
from imedbench.core.transforms import Homography, from_dict
from imedbench.core.types import Outcome
from imedbench.runs.store import Store

_ERRORS = ("tre_mean", "tre_median", "tre_max", "tre_rms")
NEEDED = (*_ERRORS, "mse")


def evidence(store: Store, table: pd.DataFrame) -> dict[str, list[PairEvidence]]:
    """Collect what is known of every pair of a split, by method.

    Args:
        store: of the run.
        table: rows of one split, of `imedbench.analysis.tables.pair_table`, scored by `NEEDED`.
    """
    matrices = _matrices(store)
    collected: dict[str, list[PairEvidence]] = {str(m): [] for m in table["method"].unique()}
    for row in table.to_dict("records"):
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
    rows = store.read("SELECT key, transform FROM predictions WHERE transform IS NOT NULL")
    found = {}
    for key, text in rows.itertuples(index=False):
        try:
            transform = from_dict(json.loads(text))
        except BadInput:  # of a plugin that is gone: no matrix to look at
            continue
        if isinstance(transform, Homography):
            found[key] = transform.matrix
    return found


def _known(value: float) -> float | None:
    return None if pd.isna(value) else value
