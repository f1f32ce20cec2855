"""What the options of a method change: the plain method against its own variants."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from imedbench.core.options import PluginSpec
from imedbench.reports.analysis import Comparison, MethodRow, comparisons


@dataclass(frozen=True)
class Variant:
    """A method with other options than its defaults.

    Args:
        options: as typed behind the method's name.
        row: how it did.
        change: against the plain method.
    """

    options: str
    row: MethodRow
    change: Comparison


@dataclass(frozen=True)
class Ablation:
    """A plain method and its variants on one split."""

    plain: MethodRow
    variants: list[Variant]


def ablations(
    table: pd.DataFrame, split: str, metric: str, rows: list[MethodRow]
) -> list[Ablation]:
    """Each plain method of a split that also ran with options.

    Args:
        table: of `imedbench.analysis.tables.pair_table`.
        split: which split.
        metric: compared by its mean over all pairs, failures penalised.
        rows: of the split.

    Returns:
        Nothing for methods of which a variant lacks the mean, as it does where pairs have no
        answer.
    """
    by_name: dict[str, list[MethodRow]] = {}
    for row in rows:
        by_name.setdefault(PluginSpec.parse(row.method).name, []).append(row)
    found = []
    for name, alike in by_name.items():
        plain = [row for row in alike if row.method == name]
        others = [row for row in alike if row.method != name]
        if plain and others and all(metric in row.means for row in alike):
            changes = comparisons(table, split, metric, plain[0], others)
            variants = [
                Variant(row.method.removeprefix(f"{name}:"), row, change)
                for row, change in zip(others, changes, strict=True)
            ]
            found.append(Ablation(plain[0], variants))
    return found
