"""Results of a method that ran elsewhere, brought into a run: paired tests need no re-run."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imedbench.core.errors import BadInput, ImedbenchError
from imedbench.core.transforms import Homography, from_dict
from imedbench.core.types import MethodInfo, Outcome
from imedbench.runs.store import Prediction, Score, Store

#: In the details of a row whose errors came with it: scoring leaves them as they are.
GIVEN = "errors came with it"
_VERSION = "imported"
_PLAIN = ("pair_id", "split", "transform", "outcome", "reason", "confidence", "latency_ms")


@dataclass(frozen=True)
class _Line:
    """One line of the file, for messages."""

    path: Path
    number: int
    cells: Mapping[str, str]

    def wrong(self, what: str) -> BadInput:
        return BadInput(f"{self.path}, line {self.number}: {what}")

    def value(self, column: str) -> float | None:
        text = self.cells.get(column, "")
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            raise self.wrong(f"{column} is {text!r}, not a number") from None
        if not np.isfinite(number):
            raise self.wrong(f"{column} is {text!r}; give an outcome in place of it")
        return number


def import_results(store: Store, path: Path, method: str, metrics: Sequence[str]) -> int:
    """Read a method's results of each pair and store them, marked as imported.

    Args:
        store: of the run; the caller holds it.
        path: CSV with ``pair_id`` and, for each pair, a ``transform`` (JSON: a 3×3 matrix that
            takes moving to fixed pixels, or a transform as it is stored) or errors under the names
            of metrics; optional are ``split``, ``outcome``, ``reason``, ``confidence`` and
            ``latency_ms``. A pair without either failed.
        method: its name here.
        metrics: names that a column may have.

    Returns:
        The number of rows stored.

    Raises:
        BadInput: naming file and line, before anything is stored.
    """
    if method in store.methods():
        raise BadInput(f"the run has a method {method!r} already; give another --method")
    lines = _read(path, metrics)
    pairs = {(str(ref.split), ref.pair_id) for ref in store.pairs()}
    splits = sorted({split for split, _ in pairs})
    rows = [_prediction(line, method, _split(line, pairs, splits)) for line in lines]
    seen = [(row.split, row.pair_id) for row in rows]
    twice = next((line for line, key in zip(lines, seen, strict=True) if seen.count(key) > 1), None)
    if twice:
        raise twice.wrong(f"pair {twice.cells['pair_id']!r} is there twice")
    given = [{m: line.value(m) for m in metrics if m in line.cells} for line in lines]
    left_as_is = _identity_scores(store)
    info = MethodInfo(method, f"imported from {path.name}", "imported", code_licence="unknown")
    store.set_method(method, info, sorted({row.split for row in rows}))
    for values, row in zip(given, rows, strict=True):
        store.add_prediction(row)
        if row.details.get(GIVEN):
            scores = [
                Score(row.key, m, _VERSION, _VERSION, v, left_as_is.get((*_key(row), m)))
                for m, v in values.items()
            ]
            store.add_scores(scores)
    return len(rows)


def _read(path: Path, metrics: Sequence[str]) -> list[_Line]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restkey="", restval="")
            lines = [
                _Line(path, reader.line_num, {k: v.strip() for k, v in row.items() if k})
                for row in reader
            ]
            header = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read as CSV ({error})") from error
    unknown = [name for name in header if name not in (*_PLAIN, *metrics)]
    if "pair_id" not in header or unknown or not lines:
        what = f"unknown column {', '.join(unknown)}" if unknown else "no pair_id, or no line"
        raise BadInput(f"{path}: {what}; columns are {', '.join(_PLAIN)} and names of metrics")
    return lines


def _split(line: _Line, pairs: set[tuple[str, str]], splits: list[str]) -> str:
    named = line.cells.get("split") or (splits[0] if len(splits) == 1 else "")
    if not named:
        raise line.wrong(f"the run has {' and '.join(splits)}; say which in a column split")
    if (named, line.cells["pair_id"]) not in pairs:
        raise line.wrong(f"the run has no pair {line.cells['pair_id']!r} in {named!r}")
    return named


def _prediction(line: _Line, method: str, split: str) -> Prediction:
    cells, known = line.cells, {o.value for o in Outcome}
    text, given = (
        cells.get("transform", ""),
        [name for name in cells if name not in _PLAIN and cells[name]],
    )
    outcome = cells.get("outcome") or ("ok" if text or given else "no_transform")
    if outcome not in known or (outcome == "ok") != bool(text or given):
        raise line.wrong(f"outcome {outcome!r}: ok goes with a transform or errors, others without")
    transform = None
    if text:
        try:
            content = json.loads(text)
            matrix = not isinstance(content, dict)
            transform = Homography(np.array(content, float)) if matrix else from_dict(content)
        except (ValueError, TypeError, ImedbenchError) as error:
            raise line.wrong(f"transform is no 3×3 matrix nor a stored one ({error})") from None
    digest = hashlib.sha256(repr((method, split, sorted(cells.items()))).encode()).hexdigest()
    return Prediction(
        key=f"imported-{digest}",
        method=method,
        split=split,
        pair_id=cells["pair_id"],
        outcome=Outcome(outcome),
        reason=cells.get("reason", "") or ("" if outcome == "ok" else "imported without a result"),
        transform=transform,
        confidence=line.value("confidence"),
        latency_ms=line.value("latency_ms"),
        timed_alone=False,  # a time from another machine must not stand beside this one's
        details={"imported": True} | ({} if text or not given else {GIVEN: True}),
    )


def _key(row: Prediction) -> tuple[str, str]:
    return row.split, row.pair_id


def _identity_scores(store: Store) -> dict[tuple[str, str, str], float]:
    """What each pair scores left as it is, known from the methods that ran here."""
    query = (
        "SELECT p.split, p.pair_id, s.metric, s.identity FROM scores s JOIN predictions p"
        " ON p.key = s.prediction WHERE s.identity IS NOT NULL"
    )
    rows = store.read(query).itertuples(index=False)
    return {(split, pair_id, metric): value for split, pair_id, metric, value in rows}
