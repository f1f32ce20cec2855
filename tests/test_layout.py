"""The packaging traps of folders that install as one import package."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import imedbench

ROOT = Path(__file__).parents[1]
INSTALLED = Path(imedbench.__file__).parent
FOLDERS = ("bench", "methods", "metrics", "datasets", "reports")

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file(), reason="not run from a checkout"
)


@pytest.fixture(scope="module")
def setuptools_table() -> dict[str, Any]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert isinstance(table, dict)
    return table


def source_folder(package: str, package_dir: dict[str, str]) -> Path:
    """Where a package's files are in the checkout."""
    parts = package.split(".")
    for n in range(len(parts), 0, -1):
        if ".".join(parts[:n]) in package_dir:
            return ROOT / package_dir[".".join(parts[:n])] / Path(*parts[n:])
    raise AssertionError(f"{package} has no folder")


def test_every_folder_of_code_is_a_listed_package(setuptools_table: dict[str, Any]) -> None:
    listed = {
        source_folder(p, setuptools_table["package-dir"]) for p in setuptools_table["packages"]
    }
    code = {file.parent for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")}
    assert {str(f.relative_to(ROOT)) for f in code - listed} == set(), "not in pyproject's packages"
    assert {str(f.relative_to(ROOT)) for f in listed - code} == set(), "listed, but empty"
    for folder in listed:
        assert (folder / "__init__.py").is_file(), f"{folder} has no __init__.py"


def test_the_wheel_holds_the_sources_and_nothing_else(setuptools_table: dict[str, Any]) -> None:
    if INSTALLED == ROOT / "bench":
        pytest.skip("installed in editable mode: there is no wheel to look at (make test has one)")
    expected = set()
    for package in setuptools_table["packages"]:
        folder = source_folder(package, setuptools_table["package-dir"])
        for pattern in ("*.py", *setuptools_table["package-data"].get(package, [])):
            names = [file.relative_to(folder) for file in folder.glob(pattern) if file.is_file()]
            expected |= {Path(*package.split(".")[1:], name).as_posix() for name in names}
    found = {
        file.relative_to(INSTALLED).as_posix()
        for file in INSTALLED.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert found == expected


def test_types_are_announced() -> None:
    assert (INSTALLED / "py.typed").is_file()


def test_our_folders_are_no_packages_of_their_own() -> None:
    """`import datasets` means Hugging Face's, also in our tests; see CONTRIBUTING."""
    assert str(ROOT) not in sys.path, "run pytest, not python -m pytest, or set PYTHONSAFEPATH=1"
    for name in (*FOLDERS, "tests"):
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec else None
        assert origin is None or not Path(origin).is_relative_to(ROOT / name), name
    assert not (ROOT / "conftest.py").exists()
    assert not (ROOT / "tests" / "__init__.py").exists()


PROGRAM = """
import json, sys
from imedbench.__main__ import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["imedbench", *arguments]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, ended.code
names_of = {}
for name, module in sorted(sys.modules.items()):
    names_of.setdefault(getattr(module, "__file__", None), []).append(name)
facts = {
    "loaded": sorted({name.partition(".")[0] for name in sys.modules}),
    "twice": [n for file, n in names_of.items() if file and "imedbench" in n[0] and len(n) > 1],
}
print(json.dumps(facts), file=sys.stderr)
"""


def loaded_by(*commands: list[str]) -> dict[str, Any]:
    """What a process has imported after some commands."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stderr.splitlines()[-1])
    assert isinstance(facts, dict)
    return facts


def test_listing_plugins_imports_nothing_heavy_and_nothing_twice() -> None:
    facts = loaded_by(*(["list", kind] for kind in ("methods", "metrics", "datasets")))
    heavy = {"torch", "kornia", "lightning", "matplotlib", "pandas", "transformers"}
    assert heavy & set(facts["loaded"]) == set()
    assert facts["twice"] == []


def test_help_imports_next_to_nothing() -> None:
    heavy = {"torch", "cv2", "numpy", "scipy", "kornia", "pandas", "matplotlib", "jinja2"}
    assert heavy & set(loaded_by(["--help"])["loaded"]) == set()


def test_every_module_is_imported_under_its_own_name() -> None:
    ours = [
        m
        for m in sys.modules.values()
        if str(getattr(m, "__file__", "")).startswith(str(INSTALLED))
    ]
    files = [str(m.__file__) for m in ours]
    assert len(files) == len(set(files))


MACHINE_PATH = re.compile(r"(?<![\w.\-/}>])/(work|root|home|tmp)/")


def committed_files() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_committed_file_names_a_place_on_somebodys_machine() -> None:
    found = []
    for file in committed_files():
        if file == Path(__file__) or not file.is_file():
            continue
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # weights and pictures
        found += [
            f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
            for number, line in enumerate(lines, 1)
            if MACHINE_PATH.search(line)
        ]
    assert found == []
