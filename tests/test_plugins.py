"""Plugins from outside: a package with entry points, a file, and names that clash."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imedbench.core.errors import BadInput
from imedbench.core.registry import Registry, load_plugin_file

EXAMPLE = Path(__file__).parent / "example_plugin"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, built and installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("package")
    source = shutil.copytree(EXAMPLE, folder / "source")
    site = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    options = ["--no-build-isolation", "--disable-pip-version-check", "--target", str(site)]
    ended = subprocess.run(
        [*command, *options, str(source)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return site


def imedbench(*arguments: object, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if path is not None:
        others = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(path), *([others] if others else [])])
    command = [sys.executable, "-m", "imedbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_package_brings_its_plugins_by_entry_points(site: Path, tmp_path: Path) -> None:
    for kind, name in {
        "methods": "centroids",
        "metrics": "shared_area",
        "datasets": "blobs",
    }.items():
        listed = imedbench("list", kind, "--json", path=site)
        assert listed.returncode == 0, listed.stderr
        assert name in {row["name"] for row in json.loads(listed.stdout)}
    command = ["run", "--data", "blobs:pairs=1", "--methods", "centroids:darkest=5,identity"]
    more = ["--metrics", "tre_mean,shared_area", "--out", tmp_path / "run", "--json"]
    ran = imedbench(*command, *more, path=site)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout)["summary"]
    found = {(r["method"], r["split"]): r for r in rows}
    assert len(found) == 4
    assert found["centroids:darkest=5", "multi-modal"]["tre_mean"] == pytest.approx(0, abs=0.05)
    assert found["identity", "multi-modal"]["tre_mean"] == pytest.approx(20**0.5)
    assert found["identity", "single-modal"]["shared_area"] == pytest.approx(1)


def test_without_the_package_its_names_are_unknown() -> None:
    ended = imedbench("info", "centroids")
    assert ended.returncode == 2
    assert ended.stderr.startswith(
        "error: there is no method, data set, metric or protocol named 'centroids'"
    )
    assert ended.stderr.count("\n") == 1


def test_a_file_brings_its_plugins(tmp_path: Path) -> None:
    plugin = EXAMPLE / "imedbench_example.py"
    listed = imedbench("list", "methods", "--plugin", plugin)
    assert "centroids" in listed.stdout
    ran = imedbench(
        *("run", "--data", "blobs", "--methods", "centroids", "--plugin", plugin),
        *("--metrics", "tre_mean", "--out", tmp_path / "run", "--split", "multi-modal", "--json"),
    )
    assert ran.returncode == 0, ran.stderr
    (row,) = json.loads(ran.stdout)["summary"]
    assert (row["method"], row["n"], row["failures"]) == ("centroids", 2, 0)
    again = ("score", tmp_path / "run", "--metrics", "shared_area", "--json")
    unnamed = imedbench(*again)
    assert unnamed.returncode == 2, "no code of a folder's choosing is run"
    assert f"say --plugin {plugin}" in unnamed.stderr
    named = imedbench(*again, "--plugin", plugin)
    assert named.returncode == 0, named.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
        ("def broken(:", "invalid syntax"),
        (
            "from imedbench.core.registry import METHODS\n"
            "@METHODS.register('identity')\nclass Mine: ...",
            "the method name 'identity' is already taken by imedbench.methods.identity",
        ),
        ("raise RuntimeError('no')", "the plugin fails to import: RuntimeError: no"),
    ],
)
def test_a_file_that_cannot_be_loaded_says_why(
    content: str, message: str, tmp_path: Path, cli: Callable[..., object]
) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(content)
    with pytest.raises(BadInput) as caught:
        load_plugin_file(plugin)
    assert message in str(caught.value)
    assert str(plugin) in str(caught.value)


def test_no_file_is_no_plugin(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.py", tmp_path):
        with pytest.raises(BadInput, match="named by the path of its Python file"):
            load_plugin_file(path)


def test_loading_a_file_twice_changes_nothing(troublesome: Path) -> None:
    load_plugin_file(troublesome)
    load_plugin_file(troublesome.parent / ".." / "plugins" / troublesome.name)


def write_package(site: Path, name: str, entry_points: str, code: str) -> None:
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


def test_entry_points_that_lead_nowhere_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = "[shapes]\ncircle = round_shapes\nsquare = no_such_shapes\nbroken = broken_shapes\n"
    write_package(tmp_path, "round_shapes", points, "")
    (tmp_path / "broken_shapes.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    shapes = Registry("shape", "shapes")
    assert shapes.names() == ["broken", "circle", "square"]
    for name, message in {
        "circle": "round_shapes registers no shape named 'circle'",
        "square": "cannot be imported from no_such_shapes: No module named",
        "broken": "cannot be imported from broken_shapes: ZeroDivisionError: division by zero",
        "crcle": "did you mean circle",
        "": "known: broken, circle, square",
    }.items():
        with pytest.raises(BadInput, match=message):
            shapes.factory(name)


def test_two_packages_cannot_offer_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("first_shapes", "second_shapes"):
        write_package(tmp_path, package, f"[shapes]\ncircle = {package}\n", "")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadInput, match="two installed packages offer a shape named 'circle'"):
        Registry("shape", "shapes").names()
