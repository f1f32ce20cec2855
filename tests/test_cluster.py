"""The array job of the documentation, submitted to a `sbatch` that runs it here and now."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "cluster.md"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="not run from a checkout")

# Runs what it is given at once, task by task, and prints a number as `--parsable` asks for.
SBATCH = """#!/bin/bash
for word in "$@"; do
  case "$word" in
    --array=*) tasks=${word#--array=} ;;
    --dependency=afterany:7) ;;
    --parsable) ;;
    --wrap) wrap=1 ;;
    -*) echo "sbatch: no such option: $word" >&2; exit 1 ;;
    *) what=$word ;;
  esac
done
if [ -n "$wrap" ]; then sh -c "$what" >> merged.log 2>&1; exit; fi
tasks=${tasks:-$(sed -n 's/^#SBATCH --array=//p' "$what")}
for number in $(seq ${tasks%-*} ${tasks#*-}); do
  SLURM_ARRAY_TASK_ID=$number SLURM_ARRAY_TASK_COUNT=9 bash "$what" > task-$number.log 2>&1
done
echo 7
"""


@pytest.fixture
def cluster(
    tmp_path: Path, write_manifest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with the script of the page, four pairs and a queue of its own."""
    write_manifest(tmp_path / "scans", ["random"] * 4)
    for name, text in {
        "sbatch": SBATCH,
        "imedbench": f'#!/bin/sh\nexec "{sys.executable}" -m imedbench "$@"\n',
    }.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    after = PAGE.read_text().partition("### As a Slurm job")[2]
    script, commands = re.findall(r"^```\w+[^\n]*\n(.*?)^```", after, re.M | re.S)[:2]
    small = script.replace("identity,sift,imed", "identity").replace("--workers 2", "--workers 1")
    small = small.replace("=1-4", "=1-2").replace("PARTS=4", "PARTS=2")
    assert small.count("2") >= script.count("2")
    (tmp_path / "parts.sh").write_text(small)
    (tmp_path / "submit.sh").write_text(commands)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_array_of_parts_is_merged_into_the_whole_run(
    cluster: Path, cli: Callable[..., Any]
) -> None:
    subprocess.run(["bash", "-e", "submit.sh"], check=True)
    logs = {file.name: file.read_text() for file in cluster.glob("*.log")}
    assert sorted(logs) == ["merged.log", "task-1.log", "task-2.log"]
    assert not any("error:" in log for log in logs.values()), logs
    split = ("--split", "multi-modal")
    whole = cli("run", "--data", "scans", *split, "--methods", "identity", "--out", "runs/one")
    assert whole.code == 0, whole.err
    tables = []
    for run in ("whole", "one"):
        ended = cli("export", f"runs/{run}", "--out", f"tables/{run}")
        assert ended.code == 0, ended.err
        lines = (cluster / "tables" / run / "rows.csv").read_text().splitlines()
        header = lines[0].split(",")
        times = {n for n, name in enumerate(header) if "latency" in name or "timed" in name}
        tables.append(
            sorted([c for n, c in enumerate(line.split(",")) if n not in times] for line in lines)
        )
    assert tables[0] == tables[1]
    assert len(tables[0]) == 5


def test_one_part_again_is_the_same_part(cluster: Path) -> None:
    """The size of the array changes when a part is submitted alone: the script must not use it."""
    for _ in range(2):
        subprocess.run(["sbatch", "--array=2", "parts.sh"], check=True, capture_output=True)
        assert "error:" not in (cluster / "task-2.log").read_text()
    assert [folder.name for folder in (cluster / "runs").iterdir()] == ["part-2"]
