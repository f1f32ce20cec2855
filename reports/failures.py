"""Why methods failed, and how often."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

_NUMBER = r"\d+(?:\.\d+)?"


@dataclass(frozen=True)
class FailureReason:
    """How often a method failed for one reason, and on which pair first."""

    method: str
    split: str
    outcome: str
    reason: str
    count: int
    example: str


def failure_reasons(table: pd.DataFrame) -> list[FailureReason]:
    """How often each method failed for which reason, unanswered pairs included.

    Reasons that differ only in their numbers count as one; the first is shown.
    """
    failed = table[table["outcome"] != "ok"]
    alike = failed["reason"].str.replace(_NUMBER, "N", regex=True)
    groups = failed.groupby(
        [failed["method"], failed["split"], failed["outcome"], alike], sort=False
    )
    return [
        FailureReason(
            method=str(part["method"].iloc[0]),
            split=str(part["split"].iloc[0]),
            outcome=str(part["outcome"].iloc[0]),
            reason=str(part["reason"].iloc[0]),
            count=len(part),
            example=str(part["pair_id"].iloc[0]),
        )
        for _, part in groups
    ]
