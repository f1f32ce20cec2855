"""Environments of methods that cannot share ours: made once, kept, repaired, refused offline."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from imedbench.core.errors import BadInput, Declined
from imedbench.core.programs import environments, making
from imedbench.core.programs.declaring import name_interpreter
from imedbench.core.programs.environments import Environment, read_environment, ready_python
from imedbench.core.registry import METHODS, load_plugin_file

PLUGIN = Path(__file__).parent / "programs" / "declared.py"


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("IMEDBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IMEDBENCH_OFFLINE", "")
    return tmp_path / "cache"


def test_metadata_says_what_an_environment_holds(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(
        "# /// script\n# requires-python = '>=3.8'\n# dependencies = ['numpy<2', 'a-b[c]>1']\n#\n"
        "# [tool.imedbench]\n# without-dependencies = ['d==1']\n# ///\nimport d\n"
    )
    found = read_environment(file)
    assert found == Environment(">=3.8", ("numpy<2", "a-b[c]>1"), ("d==1",))
    assert found.packages == ("numpy", "a-b", "d")
    file.write_text("import d\n")
    assert read_environment(file) is None
    file.write_text("# /// script\n# dependencies = 3\n# ///\n")
    with pytest.raises(BadInput, match=r"program\.py: its script metadata cannot be read"):
        read_environment(file)


class Made:
    """Stands in for uv and pip: notes what it is asked for and puts an interpreter there."""

    def __init__(self, fails: int = 0) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self.fails = fails

    def __call__(
        self, folder: Path, python: str, requirements: list[str], alone: tuple[str, ...]
    ) -> list[str]:
        self.asked.append((python, requirements))
        inside = making.python_in(folder)
        inside.parent.mkdir(parents=True)
        if len(self.asked) <= self.fails:
            raise making.MakingFailed("the package registry cannot be reached")
        inside.symlink_to(sys.executable)
        return ["numpy==1.26"]


def test_an_environment_is_made_once_and_anew_when_torn(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made()
    monkeypatch.setattr(environments, "make_environment", made)
    wanted = Environment(">=3.8", ("some-package",))
    first = ready_python("name", wanted)
    assert ready_python("name", wanted) == first
    assert made.asked == [(">=3.8", ["some-package", "numpy"])]
    ready_python("name", Environment(">=3.8", ("some-package>1",)))
    assert len(made.asked) == 2
    (first.parents[1] / "ready.json").unlink()  # ended while it was being made
    ready_python("name", wanted)
    first.unlink()  # its Python was taken away
    assert ready_python("name", wanted).is_file()
    assert len(made.asked) == 4


def test_an_environment_that_cannot_be_made_says_what_to_do(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(fails=1)
    monkeypatch.setattr(environments, "make_environment", made)
    monkeypatch.setenv("IMEDBENCH_OFFLINE", "1")
    with pytest.raises(Declined, match=r"IMEDBENCH_OFFLINE is set; .* or give --env name=PYTHON"):
        ready_python("name", Environment())
    assert made.asked == []
    monkeypatch.setenv("IMEDBENCH_OFFLINE", "0")
    with pytest.raises(Declined, match="of name cannot be made: the package registry cannot be"):
        ready_python("name", Environment())
    assert ready_python("name", Environment()).is_file()  # nothing torn was left in the way


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (["NewConnectionError: [Errno 111]"], "registry cannot be reached; run it once with a"),
        (["Collecting x", "ERROR: No matching distribution found for x"], "No matching"),
        (["odd", "words"], "odd words"),
    ],
)
def test_what_a_tool_says_becomes_one_line(lines: list[str], cause: str) -> None:
    script = "; ".join(f"print({line!r})" for line in lines) + "; raise SystemExit(1)"
    with pytest.raises(making.MakingFailed, match=cause):
        making._run([sys.executable, "-c", script])


def test_a_python_that_fits_is_found_or_its_absence_told() -> None:
    assert making.find_interpreter(">=3.8")
    with pytest.raises(making.MakingFailed, match=r"no Python >=9 here; install one, or uv"):
        making.find_interpreter(">=9")
    with pytest.raises(making.MakingFailed, match="no version specifier"):
        making.find_interpreter("newest")


WHEEL = {  # the smallest package that pip takes for NumPy
    "numpy/__init__.py": "__version__ = '0.1'",
    "numpy-0.1.dist-info/METADATA": "Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n",
    "numpy-0.1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "numpy-0.1.dist-info/RECORD": "",
}


@pytest.mark.parametrize("tool", ["venv", "uv"])
def test_a_real_environment_is_made_without_a_connection(
    tool: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if tool == "uv" and not shutil.which("uv"):
        pytest.skip("uv is not installed")
    with zipfile.ZipFile(tmp_path / "numpy-0.1-py3-none-any.whl", "w") as wheel:
        for name, text in WHEEL.items():
            wheel.writestr(name, text)
    for variable, value in (("FIND_LINKS", str(tmp_path)), ("NO_INDEX", "1"), ("OFFLINE", "1")):
        monkeypatch.setenv(f"PIP_{variable}", value)
        monkeypatch.setenv(f"UV_{variable}", value)
    if tool == "venv":
        monkeypatch.setattr(making.shutil, "which", lambda name: None)
    python = ready_python("tiny", Environment(">=3.8", ("numpy==0.1",)))
    inside = subprocess.run(
        [python, "-c", "import numpy; print(numpy.__version__)"], capture_output=True, text=True
    )
    assert inside.stdout == "0.1\n"
    assert "numpy==0.1" in (python.parents[1] / "ready.json").read_text()


def test_a_named_interpreter_is_used_and_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load_plugin_file(PLUGIN)
    named = tmp_path / "python"
    named.write_text(f'#!/bin/sh\necho used > "{tmp_path}/used"\nexec {sys.executable} "$@"\n')
    named.chmod(0o755)
    monkeypatch.setenv("IMEDBENCH_ENV_ACTS", "")  # taken back afterwards
    for text, complaint in (
        ("acts", "say NAME=PATH"),
        ("sift=/bin/sh", "sift does not run in an environment of its own"),
        (f"acts={tmp_path / 'none'}", "none is no interpreter that can be run"),
    ):
        with pytest.raises(BadInput, match=complaint):
            name_interpreter(text)
    before = METHODS.create("acts").info
    name_interpreter(f"acts={named}")
    method = METHODS.create("acts")
    method.prepare("cpu")
    assert (tmp_path / "used").is_file()
    assert method.info.environment == str(named)
    assert method.info.version != before.version
