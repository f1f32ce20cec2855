"""Runs in parts: merged they are the whole run, and what does not belong together is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imedbench.core.errors import BadInput
from imedbench.runs.shards import Shard

Cli = Callable[..., Any]
ACTS = ("random", "give-up", "own-transform", "mirror", "random")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shards")


@pytest.fixture
def make(
    cli: Cli, folder: Path, troublesome: Path, write_manifest: Callable[..., Path]
) -> Callable[..., Path]:
    """Runs two methods on five pairs, or on a shard of them, and forgets the times."""
    data = folder / "data" / "pairs.csv"
    if not data.is_file():
        write_manifest(data.parent, ACTS)

    def run(name: str, *options: object) -> Path:
        out = folder / name
        if not (out / "run.json").is_file():
            ended = cli(
                *("run", "--data", data, "--methods", "identity,troublesome", "--out", out),
                *("--plugin", troublesome, "--split", "multi-modal"),
                *("--metrics", "mse,tre_mean", "--no-page", "--executor", "in-process", *options),
            )
            assert ended.code == 0, ended.err
            with sqlite3.connect(out / "results.sqlite") as db:
                db.execute("UPDATE predictions SET latency_ms = NULL, stages = '{}'")
        return out

    return run


@pytest.fixture
def halves(make: Callable[..., Path]) -> list[Path]:
    return [make(f"part-{n}", "--shard", f"{n}/2") for n in (1, 2)]


def exported(cli: Cli, run: Path, out: Path) -> dict[str, bytes]:
    ended = cli("export", run, "--out", out)
    assert ended.code == 0, ended.err
    return {file.name: file.read_bytes() for file in out.iterdir()}


def test_merged_shards_are_the_whole_run_to_the_byte(
    cli: Cli, make: Callable[..., Path], halves: list[Path], tmp_path: Path
) -> None:
    whole, merged = make("whole"), tmp_path / "merged"
    ended = cli("merge", *reversed(halves), "--out", merged)
    assert ended.code == 0, ended.err
    assert exported(cli, merged, tmp_path / "a") == exported(cli, whole, tmp_path / "b")
    # It goes on as any other run does, and nothing is left to compute.
    plugin = json.loads((whole / "run.json").read_text())["plugins"][0]
    again = cli(
        *("run", "--data", whole.parent / "data" / "pairs.csv", "--out", merged, "--no-page"),
        *("--methods", "identity,troublesome", "--plugin", plugin, "--split", "multi-modal"),
        *("--metrics", "mse,tre_mean"),
    )
    assert again.code == 0, again.err
    assert not (merged / "logs").exists()


def test_every_pair_is_in_one_shard_with_all_its_methods(halves: list[Path]) -> None:
    found = []
    for part in halves:
        with sqlite3.connect(part / "results.sqlite") as db:
            found += db.execute("SELECT pair_id, COUNT(*) FROM predictions GROUP BY 1").fetchall()
    assert sorted(found) == [(f"p{n}", 2) for n in range(len(ACTS))]


def refused(cli: Cli, out: Path, *folders: Path) -> str:
    ended = cli("merge", *folders, "--out", out)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert not out.exists()
    return str(ended.err)


def test_what_are_not_the_shards_of_one_run_is_refused(
    cli: Cli, make: Callable[..., Path], halves: list[Path], tmp_path: Path
) -> None:
    out, (first, second) = tmp_path / "merged", halves
    assert "shard 2/2 is missing" in refused(cli, out, first)
    assert f"shard 1/2 is in {first} too" in refused(cli, out, first, second, first)
    assert "a whole run" in refused(cli, out, first, make("whole"))


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "shard 2/3, while": lambda run: run["config"].update(shard="2/3"),
    "--shard 'x'": lambda run: run["config"].update(shard="x"),
    "seed is 1": lambda run: run["config"].update(seed=1),
    "limit is 6": lambda run: run["config"].update(limit=6),
    "processor is else": lambda run: run["config"].update(processor="else"),
    "other pairs": lambda run: run.update(pairs="else"),
    "numpy is 0.1": lambda run: run["provenance"]["versions"].update(numpy="0.1"),
    "the code of troublesome is else": lambda run: run["code"].update(troublesome="else"),
}


@pytest.mark.parametrize("why", CHANGES)
def test_a_shard_made_in_another_way_is_refused(
    why: str, cli: Cli, halves: list[Path], tmp_path: Path
) -> None:
    changed = Path(shutil.copytree(halves[1], tmp_path / "changed"))
    content = json.loads((changed / "run.json").read_text())
    CHANGES[why](content)
    (changed / "run.json").write_text(json.dumps(content))
    assert why in refused(cli, tmp_path / "merged", halves[0], changed)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("DELETE FROM methods WHERE spec = 'troublesome'", "has not begun troublesome"),
        ("UPDATE methods SET info = NULL WHERE spec = 'identity'", "its identity is another"),
        ("UPDATE pairs SET pair_id = 'p0' WHERE pair_id = 'p1'", "p0 is in"),
        ("UPDATE scores SET version = '0'", "of version 0"),
    ],
)
def test_a_shard_with_other_rows_is_refused(
    query: str, why: str, cli: Cli, halves: list[Path], tmp_path: Path
) -> None:
    changed = Path(shutil.copytree(halves[1], tmp_path / "changed"))
    with sqlite3.connect(changed / "results.sqlite") as db:
        db.execute(query)
    assert why in refused(cli, tmp_path / "merged", halves[0], changed)


def test_a_folder_belongs_to_its_shard(cli: Cli, halves: list[Path]) -> None:
    for shard in (("--shard", "2/2"), ()):
        ended = cli(
            *("run", "--data", halves[0].parent / "data" / "pairs.csv", "--out", halves[0]),
            *("--methods", "identity", "--split", "multi-modal", *shard),
        )
        assert ended.code == 2
        assert "shard = 1/2" in ended.err


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/9999999", "1/3 "])
def test_no_other_shards_there_are(text: str) -> None:
    with pytest.raises(BadInput, match="--shard"):
        Shard.parse(text)


def test_a_shard_without_pairs_says_so(cli: Cli, folder: Path, make: Callable[..., Path]) -> None:
    make("whole")
    ended = cli("run", "--data", folder / "data" / "pairs.csv", "--shard", "8/8")
    assert ended.code == 2
    assert "--shard 8/8: no pair is left for it, there are 5 in all" in ended.err
    assert not Path("runs/data-8-of-8").exists()
