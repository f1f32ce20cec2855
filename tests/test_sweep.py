"""One difficulty turned up step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imedbench.analysis.statistics import wilson_interval
from imedbench.analysis.sweep import Sweep, SweepPoint, read_sweep, sweep, sweeps_beside
from imedbench.core.errors import BadInput
from imedbench.core.progress import NullProgress
from imedbench.reports.sweep import write_sweep
from imedbench.runs.config import RunConfig


def template(out: Path) -> RunConfig:
    return RunConfig(
        data="synthetic:pairs=2:size=128",
        methods=("identity",),
        out=out,
        splits=("multi-modal",),
        diagnostics=False,
    )


def test_identity_gets_worse_with_rotation(tmp_path: Path) -> None:
    swept = sweep("rotation", [0.0, 90.0], template(tmp_path / "run" / "turned"), NullProgress())
    points = swept.points
    assert [point.value for point in points] == [0.0, 90.0]
    assert points[1].tre_median > points[0].tre_median
    assert points[1].success.estimate == 0
    assert all(point.n == 2 and point.failures == 0 for point in points)
    folder = tmp_path / "run" / "turned"
    assert read_sweep(folder) == swept
    assert sweeps_beside(folder / "rotation-90") == [swept]
    assert sweeps_beside(tmp_path / "run") == [swept]
    (tmp_path / "run" / "sweep.json").write_text('{"method": "bayes"}')
    assert sweeps_beside(folder) == []
    with pytest.raises(BadInput, match="cannot be read as a sweep"):
        read_sweep(tmp_path / "run")


def test_bad_steps_stop_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="rotation"):
        sweep("rotation", [0.0, 720.0], template(tmp_path / "run"), NullProgress())
    assert not (tmp_path / "run").exists()


def test_page_has_a_row_a_point_and_its_curve(tmp_path: Path) -> None:
    points = [
        SweepPoint(value, method, wilson_interval(3, 4), tre, failures, 4)
        for value in (0.0, 10.0)
        for method, tre, failures in (("a", 1.5, 0), ("b", None, 4))
    ]
    page = write_sweep(Sweep("rotation", points), tmp_path).read_text()
    assert "| 10 | `b` | 75 % |" in page
    assert "4 of 4 | – |" in page
    assert (tmp_path / "sweep.png").stat().st_size > 5000


def test_a_sweep_and_its_steps_have_pages_with_the_curve(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run" / "turned"
    sweep("rotation", [0.0, 90.0], template(folder), NullProgress())
    ended = cli("report", folder, "--format", "both")
    assert ended.code == 0, ended.err
    assert '"stress-rotation"' in (folder / "sweep.html").read_text()
    assert cli("view", folder, "--no-browser").out.strip() == f"wrote {folder / 'sweep.html'}"
    ended = cli("report", folder / "rotation-90", "--format", "both")
    assert ended.code == 0, ended.err
    step = folder / "rotation-90"
    assert 'id="stress-rotation"' in (step / "report.html").read_text()
    assert "(figures/stress-chart-rotation.png)" in (step / "report.md").read_text()


def test_values_must_be_numbers(cli: Callable[..., Any]) -> None:
    ended = cli("sweep", "rotation", "--values", "0,ten")
    assert ended.code == 2
    assert "numbers separated by commas" in ended.err
