"""Runs laid together, and the reasons why some cannot be."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imedbench.analysis.tables import pair_table
from imedbench.runs.store import Store

Cli = Callable[..., Any]


@pytest.fixture
def make(cli: Cli, tmp_path: Path, write_manifest: Callable[..., Path]) -> Callable[..., Path]:
    """Runs a method on the same three pairs into a folder of a name."""
    data = write_manifest(tmp_path / "data", ["x", "x", "x"])

    def run(name: str, methods: str, *options: object) -> Path:
        ended = cli(
            *("run", "--data", data, "--methods", methods, "--out", tmp_path / name, "--no-page"),
            *("--split", "multi-modal", "--metrics", "mse,tre_mean", *options),
        )
        assert ended.code == 0, ended.err
        return tmp_path / name

    return run


def test_two_runs_make_one_table_and_one_page(
    cli: Cli, make: Callable[..., Path], tmp_path: Path
) -> None:
    first, second = make("first", "identity"), make("second", "sift:ratio=0.9")
    out = tmp_path / "board"
    ended = cli("merge", first, second, "--out", out, "--json")
    assert ended.code == 0, ended.err
    rows = {row["method"]: row for row in json.loads(ended.out)["summary"]}
    assert list(rows) == ["identity", "sift:ratio=0.9"]
    assert rows["identity"]["latency_ms"] is not None
    merged = pair_table(Store(out))
    for folder in (first, second):
        part = pair_table(Store(folder))
        same = merged[merged["method"].isin(part["method"])].reset_index(drop=True)
        assert same.equals(part)
    compared = cli("compare", f"{out}@identity", f"{out}@sift:ratio=0.9", "--metrics", "mse")
    assert compared.code == 0, compared.err
    assert cli("report", out, "--format", "both").code == 0


def test_a_report_of_several_runs_is_one_page(
    cli: Cli, make: Callable[..., Path], tmp_path: Path
) -> None:
    first, second = make("first", "identity"), make("second", "sift:ratio=0.9")
    out = tmp_path / "both"
    ended = cli("report", first, second, "--format", "both", "--out", out, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["complete"] is True
    for name in ("report.md", "report.html"):
        text = (out / name).read_text()
        assert "sift:ratio=0.9" in text
        assert "identity" in text
    written = {"report.md", "report.html", "figures", ".imedbench"}
    assert {path.name for path in out.iterdir()} == written
    viewed = cli("view", first, second, "--out", out, "--no-browser")
    assert (viewed.code, viewed.out.strip()) == (0, f"wrote {out / 'report.html'}")


def test_a_report_of_runs_that_cannot_be_compared_says_why(
    cli: Cli, make: Callable[..., Path], tmp_path: Path
) -> None:
    base, fewer = make("base", "identity"), make("fewer", "sift", "--limit", 2)
    for command in ("report", "view"):
        ended = cli(command, base, fewer, "--out", tmp_path / "page")
        assert ended.code == 2
        assert "other pairs" in ended.err
        assert ended.err.count("\n") == 1
        ended = cli(command, base, fewer)
        assert (ended.code, "say --out FOLDER" in ended.err) == (2, True)
    assert not (tmp_path / "page").exists()


def refused(cli: Cli, *arguments: object) -> str:
    ended = cli("merge", *arguments)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    return str(ended.err)


def test_what_cannot_be_compared_is_refused_with_the_reason(
    cli: Cli, make: Callable[..., Path], tmp_path: Path
) -> None:
    base, out = make("base", "identity"), tmp_path / "board"
    assert "identity is in an earlier run too" in refused(cli, base, base, "--out", out)
    fewer = make("fewer", "sift", "--limit", 2)
    message = refused(cli, base, fewer, "--out", out)
    assert "other pairs" in message
    assert "p2 of multi-modal is not in both (1 such pairs)" in message
    assert "threads is 2" in refused(cli, base, make("t", "sift", "--threads", 2), "--out", out)
    assert not out.exists()
    untimed = cli("merge", base, tmp_path / "t", "--out", out, "--no-latency", "--json")
    assert untimed.code == 0, untimed.err
    assert {r["latency_ms"] for r in json.loads(untimed.out)["summary"]} == {None}
    assert "holds a run already" in refused(cli, base, fewer, "--out", out)
    assert "two runs or more" in refused(cli, base, "--out", tmp_path / "one")


def test_other_versions_and_other_images_are_refused(
    cli: Cli, make: Callable[..., Path], tmp_path: Path
) -> None:
    base, other = make("base", "identity"), make("other", "sift")
    with sqlite3.connect(other / "results.sqlite") as db:
        db.execute("UPDATE scores SET version = '0' WHERE metric = 'mse'")
    assert "mse is of version 0" in refused(cli, base, other, "--out", tmp_path / "board")
    with sqlite3.connect(other / "results.sqlite") as db:
        db.execute("UPDATE pairs SET truth = 'else' WHERE pair_id = 'p1'")
    message = refused(cli, base, other, "--out", tmp_path / "board")
    assert "p1 of multi-modal is not the same images or ground truth" in message
