"""Computing stored rows again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imedbench.analysis.run import Run, open_run
from imedbench.analysis.verify import verify_run
from imedbench.core.datasets import open_dataset
from imedbench.core.progress import NullProgress
from imedbench.core.types import Outcome
from imedbench.runs.config import RunConfig
from imedbench.runs.runner import run


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, write_manifest: Any, troublesome: Path
) -> Run:
    folder = tmp_path_factory.mktemp("verify")
    data = write_manifest(folder / "data", ["shift", "give-up", "wander"])
    config = RunConfig(
        data=str(data),
        methods=("troublesome",),
        out=folder / "run",
        splits=("multi-modal",),
        plugins=(troublesome,),
    )
    run(config, open_dataset(config.data))
    return open_run(config.out)


def test_what_is_the_same_agrees_to_the_bit_and_what_wanders_does_not(
    finished: Run, troublesome: Path
) -> None:
    checks = verify_run(
        finished, sample=3, repeat=2, seed=0, progress=NullProgress(), plugins=[troublesome]
    )
    by_pair = {check.pair_id: check for check in checks}
    assert by_pair["p0"].agrees(0.0)
    assert by_pair["p0"].varies == ""
    assert by_pair["p0"].largest_px == 0
    assert by_pair["p1"].outcomes == (Outcome.NO_TRANSFORM, Outcome.NO_TRANSFORM)
    assert by_pair["p1"].agrees(0.0)
    wanderer = by_pair["p2"]
    assert wanderer.varies == "transform"
    assert not wanderer.agrees(0.0)
    assert wanderer.agrees(tolerance_px=10.0)


def test_the_sample_depends_on_the_seed_only(finished: Run) -> None:
    picks = [
        [
            c.pair_id
            for c in verify_run(finished, sample=1, repeat=1, seed=s, progress=NullProgress())
        ]
        for s in (1, 1)
    ]
    assert picks[0] == picks[1]
    assert len(picks[0]) == 1


def test_exit_code_of_the_command(
    finished: Run, cli: Callable[..., Any], troublesome: Path
) -> None:
    command = ("verify", finished.folder, "--sample", "3", "--repeat", "2")
    ended = cli(*command, "--plugin", troublesome)
    assert ended.code == 1
    assert "2 of 3 rows agree" in ended.out
