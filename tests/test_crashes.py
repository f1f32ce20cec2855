"""A crash names the plugin's own line, and its whole traceback is there afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imedbench.runs.store import Store

PLUGIN = """
import numpy as np
from imedbench.core.methods import register_method
from imedbench.core.types import MethodInfo, Registration


@register_method(MethodInfo("deep", "fails in a library", "affine"))
def deep(fixed, moving):
    return Registration(solve(fixed))


def solve(fixed):
    singular = np.zeros((2, 2))
    return np.linalg.inv(singular)
"""
METRIC = """
import numpy as np
from imedbench.core.metrics import MetricInfo, register_metric


@register_metric(MetricInfo("bad_metric", "fails in a library"))
def bad_metric(case):
    return np.linalg.inv(np.zeros((2, 2)))[0, 0]
"""


def test_a_crash_names_the_plugins_line_and_keeps_its_traceback(
    tmp_path: Path, write_manifest: Callable[..., Path], cli: Callable[..., Any],
    short_lived_plugins: None,
) -> None:  # fmt: skip
    (tmp_path / "deep.py").write_text(PLUGIN)
    (tmp_path / "bad_metric.py").write_text(METRIC)
    folder = tmp_path / "run"
    data = write_manifest(tmp_path / "data", ["cf"])
    ended = cli(
        *("run", "--data", data, "--methods", "deep,identity", "--out", folder),
        *("--plugin", tmp_path / "deep.py", "--plugin", tmp_path / "bad_metric.py"),
        *("--metrics", "tre_mean,bad_metric", "--no-page", "--split", "multi-modal"),
    )
    assert ended.code == 3
    assert "LinAlgError: Singular matrix at deep.py:14" in ended.err
    shown = cli("show", folder, "p0", "deep")
    assert shown.code == 0
    assert shown.out.splitlines()[0] == (
        "deep on p0 (multi-modal): crash, LinAlgError: Singular matrix at deep.py:14"
    )
    assert "return Registration(solve(fixed))" in shown.out
    assert "_linalg.py" in shown.out, "the library's frames are in the traceback"
    (row,) = json.loads(cli("show", folder, "p0", "deep", "--json").out)
    assert row["traceback"].startswith("Traceback (most recent call last)")
    fine = cli("show", folder, "p0", "identity")
    assert fine.out.startswith("identity on p0 (multi-modal): ok\n")
    assert "tre_mean: 2\n" in fine.out

    for pair, method, expected in [
        ("p0", "identiy", "did you mean identity?"),
        ("p7", "deep", "there is no pair named 'p7'"),
    ]:
        ended = cli("show", folder, pair, method)
        assert (ended.code, expected in ended.err) == (2, True)
    assert cli("show", tmp_path, "p0", "deep").code == 2

    reasons = {s.reason for s in Store(folder).scores() if s.metric == "bad_metric"}
    assert any("bad_metric.py:8" in reason for reason in reasons), "a metric names its line too"
