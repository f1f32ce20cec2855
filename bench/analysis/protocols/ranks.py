"""How the order of methods depends on the protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imedbench.analysis.protocols.evidence import PairEvidence, Protocol, ProtocolResult
from imedbench.core.arrays import Floats
from imedbench.core.errors import ContractError


@dataclass(frozen=True, eq=False)
class RankTable:
    """Ranks of M methods under P protocols.

    Args:
        methods: M names, in order of their mean rank.
        protocols: P names.
        ranks: M×P, 1 is best, ties share their mean rank.
        results: each method's result under each protocol, by both names.
    """

    methods: tuple[str, ...]
    protocols: tuple[str, ...]
    ranks: Floats
    results: Mapping[str, Mapping[str, ProtocolResult]]

    @property
    def moves(self) -> Floats:
        """How many ranks apart each method's best and worst protocol place it, M values."""
        moves: Floats = self.ranks.max(axis=1) - self.ranks.min(axis=1)
        return moves

    def rows(self) -> list[dict[str, str | float]]:
        """One row a method: its name, its rank under each protocol, and how far it moves."""
        return [
            {"method": method}
            | dict(zip(self.protocols, map(float, ranks), strict=True))
            | {"moves": float(moves)}
            for method, ranks, moves in zip(self.methods, self.ranks, self.moves, strict=True)
        ]


def rank_table(
    evidence: Mapping[str, Sequence[PairEvidence]], protocols: Sequence[Protocol]
) -> RankTable:
    """Rank methods under several protocols, all from the same stored transforms.

    Args:
        evidence: each method's evidence of every pair.
        protocols: the rules to compare.

    Raises:
        ContractError: when there is no method or no protocol, or methods saw different pairs.
        IncompleteRun: when a method's evidence is incomplete.
    """
    if not evidence or not protocols:
        raise ContractError("a rank table needs methods and protocols")
    pairs = [{pair.pair_id for pair in of_method} for of_method in evidence.values()]
    if any(seen != pairs[0] for seen in pairs):
        raise ContractError("methods can only be ranked on the same pairs")
    results = {
        method: {protocol.name: protocol.evaluate(of_method) for protocol in protocols}
        for method, of_method in evidence.items()
    }
    names = tuple(evidence)
    columns = [
        _ranks([results[method][protocol.name].order_key for method in names])
        for protocol in protocols
    ]
    ranks = np.stack(columns, axis=1)
    order = np.argsort(ranks.mean(axis=1), kind="stable")
    return RankTable(
        methods=tuple(names[i] for i in order),
        protocols=tuple(protocol.name for protocol in protocols),
        ranks=ranks[order],
        results=results,
    )


def _ranks(keys: Sequence[tuple[float, ...]]) -> Floats:
    """Ranks of the keys in lexicographic order; equal keys share their mean rank."""
    better = [sum(other < key for other in keys) for key in keys]
    equal = [sum(other == key for other in keys) for key in keys]
    return np.array(better) + (np.array(equal) + 1) / 2
