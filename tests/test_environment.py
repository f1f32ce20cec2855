"""What is recorded of machine and code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from imedbench.core.registry import METHODS
from imedbench.core.wrapping import wrapped
from imedbench.runs.environment import device_name, git_state, provenance
from imedbench.runs.packages import code_hash, source_hash


def test_provenance_is_complete_and_fits_json() -> None:
    facts = json.loads(json.dumps(provenance("cpu", 2)))
    assert facts["threads"] == 2
    assert facts["device_name"]
    assert facts["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    for package in ("imedbench", "numpy", "opencv-contrib-python", "torch"):
        assert facts["versions"][package][0].isdigit()


def test_the_processor_has_a_name() -> None:
    assert device_name("cpu") not in ("", "unknown CPU")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_checkout_tells_its_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    code = tmp_path / "bench"
    code.mkdir()
    assert git_state(code) is None, "no checkout"
    git(tmp_path, "init", "-q")
    assert git_state(code) is None, "no commit"
    (code / "a.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    assert git_state(code) == {"commit": git(tmp_path, "rev-parse", "HEAD"), "dirty": False}
    (code / "a.py").write_text("2")
    state = git_state(code)
    assert state is not None
    assert state["dirty"] is True


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hashed_package"
    (folder / "deep").mkdir(parents=True)
    for name in ("__init__.py", "plugin.py", "deep/__init__.py", "deep/helper.py"):
        (folder / name).write_text(f"NAME = {name!r}\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_packages_hash_covers_all_its_modules(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashed_package.plugin  # type: ignore[import-not-found]  # noqa: F401

    def now() -> str:
        source_hash.cache_clear()
        return source_hash("hashed_package.plugin")

    first = now()
    (package / "notes.txt").write_text("no code")
    assert now() == first
    (package / "deep" / "helper.py").write_text("NAME = 2\n")
    second = now()
    assert second != first
    (package / "more.py").write_text("")
    assert now() != second
    for name in [n for n in sys.modules if n.startswith("hashed_package")]:
        monkeypatch.delitem(sys.modules, name)


def test_built_in_methods_share_the_hash_of_methods_and_core() -> None:
    source_hash.cache_clear()
    hashes = {source_hash(METHODS.factory(name).__module__) for name in ("identity", "sift")}
    assert len(hashes) == 1


def test_a_wrapper_is_hashed_with_what_it_wraps(troublesome: Path) -> None:
    outer = METHODS.factory("identity")
    inner = METHODS.factory("troublesome")
    both = wrapped(lambda method, *, strength=1.0: method, inner)
    both.__module__ = outer.__module__
    assert code_hash(both) == f"{code_hash(outer)}+{code_hash(inner)}"


def test_a_plugin_file_is_hashed_alone(troublesome: Path) -> None:
    module = METHODS.factory("troublesome").__module__
    source_hash.cache_clear()
    assert source_hash(module) != source_hash("imedbench.methods.identity")
