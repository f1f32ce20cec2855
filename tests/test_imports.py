"""Methods that ran elsewhere, brought into a run by a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
SHIFT = [[1, 0, 2], [0, 1, 0], [0, 0, 1]]


@pytest.fixture
def base(cli: Cli, tmp_path: Path, write_manifest: Callable[..., Path]) -> Path:
    data = write_manifest(tmp_path / "data", ["x", "x", "x"])
    out = tmp_path / "run"
    ended = cli(
        *("run", "--data", data, "--methods", "identity", "--out", out, "--no-page"),
        *("--split", "multi-modal", "--metrics", "mse,tre_mean"),
    )
    assert ended.code == 0, ended.err
    return out


def results(folder: Path, header: str, *lines: str) -> Path:
    path = folder / "results.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_transforms_are_scored_like_any_other(cli: Cli, base: Path, tmp_path: Path) -> None:
    quoted = json.dumps(SHIFT).replace(" ", "")
    path = results(
        tmp_path, "pair_id,transform,outcome", f'p0,"{quoted}",', f'p1,"{quoted}",', "p2,,timeout"
    )
    ended = cli("import", base, path, "--method", "matlab", "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    (row,) = (r for r in content["summary"] if r["method"] == "matlab")
    assert (row["n"], row["failures"]) == (3, 1)
    assert row["tre_mean"] == pytest.approx(2 / 3), "the failure is charged the identity's 2 px"
    assert content["remarks"] == ["matlab did not run here: imported from results.csv"]
    compared = cli("compare", f"{base}@identity", f"{base}@matlab", "--metrics", "tre_mean")
    assert compared.code == 0, compared.err


def test_errors_stay_as_they_came(cli: Cli, base: Path, tmp_path: Path) -> None:
    path = results(tmp_path, "pair_id,tre_mean", "p0,1.5", "p1,0.5", "p2,")
    for command in (("import", base, path, "--method", "paper"), ("score", base)):
        ended = cli(*command, "--json")
        assert ended.code == 0, ended.err
        rows = {r["method"]: r for r in json.loads(ended.out)["summary"]}
        assert rows["paper"]["tre_mean|ok"] == 1.0
        assert rows["paper"]["failures"] == 1
        assert rows["paper"]["latency_ms"] is None
    assert cli("report", base, "--format", "both").code == 0


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        ("pair_id,tre_mean", "p9,1", "line 2: the run has no pair 'p9'"),
        ("pair_id,tre_mean", "p0,one", "line 2: tre_mean is 'one', not a number"),
        ("pair_id,transform", 'p0,"[[1,2],[3,4]]"', "line 2: transform is no 3×3 matrix"),
        ("pair_id,outcome", "p0,ok", "line 2: outcome 'ok'"),
        ("pair_id,tre", "p0,1", "unknown column tre"),
        ("pair_id,tre_mean", "p0,inf", "give an outcome"),
    ],
)
def test_bad_files_are_told_and_store_nothing(
    cli: Cli, base: Path, tmp_path: Path, header: str, line: str, message: str
) -> None:
    ended = cli("import", base, results(tmp_path, header, line), "--method", "wrong-one")
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert "wrong-one" not in cli("score", base, "--metrics", "mse").out
