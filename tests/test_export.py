"""Exports of a small run, held against what they were."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from imedbench import __version__
from imedbench.core.images import read_image

Cli = Callable[..., Any]
SNAPSHOTS = Path(__file__).parent / "snapshots"
METRICS = "mse,rmse,tre_mean,tre_median,tre_max,tre_rms"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture
def finished(
    cli: Cli, folder: Path, troublesome: Path, write_manifest: Callable[..., Path]
) -> Path:
    """Identity and a method that fails on one pair of four; two workers, so nothing is timed."""
    out = folder / "run"
    if not out.exists():
        data = write_manifest(folder / "data", ["shift", "shift", "mirror", "shift"])
        ended = cli(
            *("run", "--data", data, "--methods", "identity,troublesome:note=50% <&_>"),
            *("--plugin", troublesome, "--split", "multi-modal", "--out", out, "--workers", 2),
            *("--metrics", METRICS, "--no-page"),
        )
        assert ended.code == 0, ended.err
    return out


def held(name: str, text: str) -> None:
    """Compare with the file kept; delete it to write it anew, and look at it before committing."""
    path = SNAPSHOTS / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["csv", "latex", "md"])
def test_tables_are_what_they_were(cli: Cli, finished: Path, folder: Path, kind: str) -> None:
    ended = cli("export", finished, "--format", kind, "--out", folder / kind, "--bibtex")
    assert ended.code == 0, ended.err
    for path in (folder / kind).glob("[!.]*"):
        text = path.read_text(encoding="utf-8").replace(f"imedbench {__version__}", "imedbench N")
        held(path.name, re.sub(r"\d+\.\d{6,}", lambda m: f"{float(m[0]):.4g}", text))


@pytest.mark.parametrize("name", ["rows", "summary"])
def test_the_documented_columns_are_the_ones_written(name: str) -> None:
    written = pd.read_csv(SNAPSHOTS / f"{name}.csv").columns
    text = (Path(__file__).parents[1] / "docs" / "reference" / "exports.md").read_text(
        encoding="utf-8"
    )
    section = text.split(f"## {name}:")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {column for row in rows for column in re.findall(r"`(\w+)`", row)}
    metrics = {*METRICS.split(","), *(f"{metric}|identity" for metric in METRICS.split(","))}
    assert documented == set(written) - (metrics if name == "rows" else set())


def test_the_markdown_page_is_what_it_was(cli: Cli, finished: Path, folder: Path) -> None:
    ended = cli("report", finished, "--out", folder / "page")
    assert ended.code == 0, ended.err
    held("report.md", (folder / "page" / "report.md").read_text().split("## How this was made")[0])


def test_every_metric_protocol_and_interval_is_in_the_json(
    cli: Cli, finished: Path, folder: Path
) -> None:
    ended = cli("export", finished, "--format", "json", "--out", folder / "json")
    assert ended.code == 0, ended.err
    content = json.loads((folder / "json" / "results.json").read_text())
    assert content["schema"] == 1
    assert len(content["rows"]) == 8
    lines = {(line["method"], line["name"]): line for line in content["summary"]}
    tre = lines["identity", "tre_mean"]
    assert (tre["estimate"], tre["unit"], tre["kind"]) == (2.0, "px", "metric")
    assert tre["low"] <= tre["estimate"] <= tre["high"]
    assert lines["identity", "fire-superretina-v1/mauc"]["estimate"] == pytest.approx(23 / 25)
    failures = lines["troublesome:note=50% <&_>", "failures"]
    assert failures["estimate"] == 1
    assert failures["low"] < 1 < failures["high"]


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_charts_are_files_for_a_paper(cli: Cli, finished: Path, folder: Path, kind: str) -> None:
    out = folder / f"figures-{kind}"
    assert cli("export", finished, "--figures", kind, "--out", out).code == 0
    drawn = {path.stem for path in out.glob(f"*.{kind}")}
    assert {"multi-modal-cumulative", "multi-modal-outcomes", "multi-modal-errors"} <= drawn
    if kind == "png":
        assert read_image(out / "multi-modal-cumulative.png").size[0] == 1920


def test_parquet_holds_what_the_csv_holds(cli: Cli, finished: Path, folder: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    for kind in ("parquet", "csv"):
        ended = cli("export", finished, "--format", kind, "--out", folder / "same")
        assert ended.code == 0, ended.err
    for name in ("rows", "summary"):
        table = pd.read_parquet(folder / "same" / f"{name}.parquet")
        text = pd.read_csv(folder / "same" / f"{name}.csv")
        assert (table["schema"] == 1).all()
        assert list(table.columns) == list(text.columns)
        for column in text:
            same = zip(table[column], text[column], strict=True)
            assert all((pd.isna(a) or a == "") if pd.isna(b) else a == b for a, b in same), column


def test_parquet_without_its_library_says_what_it_needs(
    cli: Cli, finished: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*_: Any, **__: Any) -> None:
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", without)
    ended = cli("export", finished, "--format", "parquet", "--out", folder / "none")
    assert ended.code == 2
    assert ended.err == "error: parquet needs pyarrow: pip install 'imedbench[parquet]'\n"


@pytest.mark.parametrize(("command", "name"), [("report", "report.md"), ("export", "summary.csv")])
def test_what_was_written_before_is_written_again_and_a_strangers_file_only_by_force(
    cli: Cli, finished: Path, tmp_path: Path, command: str, name: str
) -> None:
    words = (command, finished, "--out", tmp_path)
    (tmp_path / name).write_text("mine")
    ended = cli(*words)
    assert ended.code == 2
    assert ended.err == f"error: {tmp_path / name}: is there already; --force replaces it\n"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    assert cli(*words, "--force").code == 0
    assert cli(*words).code == 0
    assert "mine" not in (tmp_path / name).read_text()


def test_a_sheet_of_pairs_replaces_nothing_either(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("mine")
    words = ("data", "show", "synthetic:pairs=1:size=64", "--out", tmp_path / "a.png")
    assert cli(*words).code == 2
    assert (tmp_path / "a.png").read_text() == "mine"
    assert cli(*words, "--force").code == 0
