"""Which pairs a page shows, in which order, and why each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from imedbench.analysis.best import HEADLINE
from imedbench.analysis.risk import WRONG_PX, silently_wrong
from imedbench.analysis.tables import penalised
from imedbench.core.errors import BadInput

WRONG_NOTE = f"answered, but off by more than {WRONG_PX:g} px"


@dataclass(frozen=True)
class ShownPair:
    """A pair to be shown, and why.

    Args:
        split: of the pair.
        pair_id: of the pair.
        why: such as ``worst`` or ``silently wrong by sift``; empty for an ordinary pair.
        turn: pairs of a low turn come first where there is no room for all.
    """

    split: str
    pair_id: str
    why: str
    turn: int


def choose_pairs(table: pd.DataFrame, wanted: Sequence[str] = ()) -> list[ShownPair]:
    """List all pairs in the order of a page: asked for, typical, gone wrong, the rest.

    Best, median and worst are by the mean over all methods, so that they are the same pairs for
    every one of them. Of those gone wrong every kind of mistake of every method has its turn.

    Args:
        table: of `imedbench.analysis.tables.pair_table`.
        wanted: ids of pairs that were asked for.

    Raises:
        BadInput: when there is no such pair.
    """
    unknown = set(wanted) - set(table["pair_id"])
    if unknown:
        raise BadInput(f"--pairs: the run has no pair {min(unknown)!r}")
    places: dict[str, list[ShownPair]] = {"wanted": [], "typical": [], "wrong": [], "rest": []}
    for split, rows in table.groupby("split", sort=False):
        mistakes, typical = _mistakes(rows), _typical(rows)
        turns, found = _turns(mistakes), {}
        for pair_id in map(str, rows["pair_id"].unique()):
            named = [f"{method}: {what}" for method, what in mistakes.get(pair_id, ())]
            why = "; ".join(filter(None, [typical.get(pair_id, ""), ", ".join(named)]))
            asked, known, wrong = pair_id in wanted, pair_id in typical, pair_id in mistakes
            kind = "wanted" if asked else "typical" if known else "wrong" if wrong else "rest"
            turn = turns.get(pair_id, 0) if kind == "wrong" else 0
            found[pair_id] = ShownPair(str(split), pair_id, why, turn)
            if kind != "typical":
                places[kind].append(found[pair_id])
        places["typical"] += [found[pair_id] for pair_id in typical if pair_id not in wanted]
    return [pair for kind in places.values() for pair in kind]


def _typical(rows: pd.DataFrame) -> dict[str, str]:
    known = HEADLINE in rows and rows[f"{HEADLINE}|identity"].notna().all()
    metric = HEADLINE if known else "mse"
    judged = rows[rows["method"] != "identity"] if rows["method"].nunique() > 1 else rows
    if metric not in rows:
        return {}
    costs = judged.assign(cost=penalised(judged, metric)).dropna(subset=["cost"])
    ordered = costs.groupby("pair_id", sort=False)["cost"].mean().sort_values(kind="stable").index
    if ordered.empty:
        return {}
    places = {len(ordered) - 1: "worst", len(ordered) // 2: "median", 0: "best"}
    return {str(ordered[i]): f"{places[i]} over all methods" for i in sorted(places)}


def _mistakes(rows: pd.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """Who failed or was silently wrong on a pair: method and what, by pair."""
    rows = rows[rows["method"] != "identity"]
    outcome = rows["outcome"].str.replace("_", " ").mask(silently_wrong(rows), "silently wrong")
    bad = rows.assign(what=outcome)[outcome != "ok"]
    found: dict[str, list[tuple[str, str]]] = {}
    for pair_id, method, what in zip(bad["pair_id"], bad["method"], bad["what"], strict=True):
        found.setdefault(str(pair_id), []).append((method, what))
    return found


def _turns(mistakes: dict[str, list[tuple[str, str]]]) -> dict[str, int]:
    """When each pair has its turn: the n-th with the rarest of its mistakes has the n-th."""
    counts: dict[tuple[str, str], int] = {}
    for found in mistakes.values():
        for mistake in found:
            counts[mistake] = counts.get(mistake, 0) + 1
    seen: dict[tuple[str, str], int] = {}
    turns = {}
    for pair_id, found in mistakes.items():
        rarest = min(found, key=counts.__getitem__)
        turns[pair_id] = seen[rarest] = seen.get(rarest, 0) + 1
    return turns
