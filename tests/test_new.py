"""`imedbench new`: what it writes installs, is found, passes its own test and the checks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def installed(folder: Path) -> None:
    """Make a package's entry points visible, as an installation does, without the network."""
    import tomllib

    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {module}" for name, module in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        check=False,
    )


@pytest.mark.parametrize(
    ("kind", "name"), [("method", "my-method"), ("metric", "my_metric"), ("dataset", "my-data")]
)
def test_a_new_package_is_found_and_passes_its_own_test(
    kind: str, name: str, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    folder = tmp_path / "package"
    assert cli("new", kind, name, "--out", str(folder)).code == 0
    installed(folder)
    info = run(folder, "imedbench", "info", name)
    assert info.returncode == 0, info.stderr
    assert name in info.stdout
    test = f"test_{name.replace('-', '_')}.py"
    tested = run(folder, "pytest", "-q", "-p", "no:cacheprovider", test)
    assert tested.returncode == 0, tested.stdout
    if kind == "method":
        checked = run(folder, "imedbench", "check", name)
        assert checked.returncode == 0, checked.stdout


def test_names_and_folders_that_will_not_do_are_refused(
    tmp_path: Path, cli: Callable[..., Any]
) -> None:
    bad = cli("new", "method", "My Method", "--out", str(tmp_path / "a"))
    assert (bad.code, (tmp_path / "a").exists()) == (2, False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    full = cli("new", "method", "mine", "--out", str(tmp_path / "full"))
    assert full.code == 2
    assert "holds something already" in full.err
