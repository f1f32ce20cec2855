"""From the rows of a run to what the named protocols ask; no image is read for it."""

from __future__ import annotations

import json

import pandas as pd

from imedbench.analysis.protocols import PROTOCOLS, LandmarkErrors, PairEvidence, RankTable
from imedbench.analysis.protocols.ranks import rank_table
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
        # A degenerate transform is none: no protocol shall grade it on its errors.
        usable = row["outcome"] == Outcome.OK and pd.notna(row["tre_mean"])
        collected[row["method"]].append(
            PairEvidence(
                pair_id=row["pair_id"],
                outcome=Outcome(row["outcome"]),
                category=row["category"] or "",
                errors=LandmarkErrors(*(row[name] for name in _ERRORS)) if usable else None,
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
    failed = table["outcome"].isin([o.value for o in Outcome if o.is_failure])
    scored = all(name in table for name in NEEDED)
    if table.empty or not scored or table.loc[~failed, list(NEEDED)].isna().any(axis=None):
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
