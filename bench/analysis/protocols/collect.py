"""From the rows of a run to what the named protocols ask."""

from __future__ import annotations

import numpy as np

from imedbench.analysis.protocols import PROTOCOLS, PairEvidence, RankTable, rank_table
from imedbench.analysis.run import Run
from imedbench.core.transforms import Homography
from imedbench.core.types import Outcome
from imedbench.metrics.landmarks import landmark_errors
from imedbench.runs.store import Prediction


def evidence(run: Run, split: str) -> dict[str, list[PairEvidence]]:
    """What is known of every pair of a split, by method.

    Args:
        run: scored.
        split: which one.

    Raises:
        BadInput: when an image cannot be read.
    """
    refs = [ref for ref in run.store.pairs() if ref.split == split]
    mse = {s.prediction: (s.value, s.identity) for s in run.store.scores() if s.metric == "mse"}
    found = {(p.method, p.pair_id): p for p in run.store.predictions() if p.split == split}
    collected: dict[str, list[PairEvidence]] = {method: [] for method in run.store.methods()}
    for ref in refs:
        truth = run.dataset.load(ref).truth
        for method, entries in collected.items():
            row = found.get((method, ref.pair_id))
            value, identity = mse.get(row.key, (None, None)) if row else (None, None)
            errors = None
            # A degenerate transform is none: no protocol shall grade it on its errors.
            transform = row.transform if row and row.outcome is Outcome.OK else None
            if transform is not None and truth.moving_points is not None:
                assert truth.fixed_points is not None
                errors = landmark_errors(transform.apply(truth.moving_points), truth.fixed_points)
            entries.append(
                PairEvidence(
                    pair_id=ref.pair_id,
                    outcome=row.outcome if row else Outcome.SKIPPED,
                    category=ref.note if ref.note in ("S", "P", "A") else "",
                    errors=errors,
                    n_matches=_matches(row),
                    matrix=_matrix(row),
                    mse=value,
                    identity_mse=identity,
                )
            )
    return collected


def protocol_ranks(run: Run, split: str) -> RankTable | None:
    """How the methods rank under every protocol; None where pairs lack answer, landmarks or mse."""
    collected = evidence(run, split)
    complete = all(
        e.outcome.is_answer
        and ((e.errors is not None and e.mse is not None) or e.outcome is not Outcome.OK)
        for entries in collected.values()
        for e in entries
    )
    return rank_table(collected, list(PROTOCOLS.values())) if complete and collected else None


def _matches(row: Prediction | None) -> int | None:
    count = row.details.get("n_matches") if row else None
    return int(count) if count is not None else None


def _matrix(row: Prediction | None) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None:
    transform = row.transform if row else None
    return transform.matrix if isinstance(transform, Homography) else None
