"""All that a run keeps of one pair under one method."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from imedbench.analysis.tables import metric_names, pair_table
from imedbench.core.errors import BadInput
from imedbench.core.options import PluginSpec
from imedbench.core.registry import Registry
from imedbench.runs.calls import TRACEBACK
from imedbench.runs.config import read_run
from imedbench.runs.files import log_file
from imedbench.runs.store import Store


@dataclass(frozen=True)
class Row:
    """What became of one pair under one method.

    Args:
        method: spec of the method.
        split: split of the pair.
        pair_id: id of the pair.
        outcome: ``ok``, ``crash``, ``missing`` …
        reason: why it is not ``ok``.
        facts: confidence, latency in ms, ms by stage and the method's own details.
        scores: of every metric that has one.
        traceback: of a crash; empty where nothing was raised.
        log: file with what the method printed, where there is one.
    """

    method: str
    split: str
    pair_id: str
    outcome: str
    reason: str
    facts: dict[str, Any]
    scores: dict[str, float]
    traceback: str
    log: Path | None

    def __str__(self) -> str:
        head = f"{self.method} on {self.pair_id} ({self.split}): {self.outcome}"
        lines = [f"{head}, {self.reason}" if self.reason else head]
        for name, value in {**self.facts, **self.scores}.items():
            lines.append(f"  {name}: {f'{value:.4g}' if isinstance(value, float) else value}")
        return "\n".join([*lines, self.traceback] if self.traceback else lines)


def find_rows(folder: Path, pair_id: str, method: str) -> list[Row]:
    """Find what a run keeps of one pair under one method, one row a split that has such a pair.

    Args:
        folder: of the run.
        pair_id: id of the pair.
        method: its spec, options in any order.

    Raises:
        BadInput: when the run has no such method or pair.
    """
    read_run(folder)
    store = Store(folder)
    table = pair_table(store)
    spec = str(PluginSpec.parse(method))
    for name, column in ((spec, "method"), (pair_id, "pair_id")):
        known = list(map(str, table[column].unique()))
        if name not in known:
            kind = column.partition("_")[0]
            raise BadInput(f"{folder}: {Registry.unknown(kind, name, known)}")
    chosen = table[(table["method"] == spec) & (table["pair_id"] == pair_id)]
    if chosen.empty:
        raise BadInput(f"{folder}: {spec} was not to answer {pair_id}")
    details = {row.key: row.details for row in store.predictions(spec, transforms=False)}
    log = log_file(folder, spec)
    return [
        _row(line, metric_names(table), dict(details.get(line["key"], {})), log)
        for _, line in chosen.iterrows()
    ]


def _row(line: pd.Series[Any], metrics: list[str], details: dict[str, Any], log: Path) -> Row:
    traceback = str(details.pop(TRACEBACK, ""))
    stages = {f"{name} ms": ms for name, ms in json.loads(line["stages"]).items()}
    facts = {"confidence": line["confidence"], "latency ms": line["latency_ms"], **stages}
    return Row(
        method=str(line["method"]),
        split=str(line["split"]),
        pair_id=str(line["pair_id"]),
        outcome=str(line["outcome"]),
        reason=str(line["reason"]),
        facts={name: value for name, value in facts.items() if pd.notna(value)} | details,
        scores={name: float(line[name]) for name in metrics if pd.notna(line[name])},
        traceback=traceback,
        log=log if log.is_file() and log.stat().st_size else None,
    )
