"""The pages on adding a method, a metric and a data set, followed word by word.

A block with a title is the file of that name, a line of a shell block is run, and a block of text
is what the lines before it print. An editable installation makes the entry points of a package
visible, as pip does, without the network.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imedbench.core.registry import DATASETS, METHODS, METRICS

PAGES = sorted((Path(__file__).parents[1] / "docs" / "how-to").glob("add-a-*.md"))

pytestmark = pytest.mark.skipif(not PAGES, reason="not run from a checkout")


def blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """Language, title and content of each block of a page."""
    found = r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```'
    text = page.read_text(encoding="utf-8")
    yield from re.findall(found, text, re.DOTALL | re.MULTILINE)


def forget_entry_points() -> None:
    for registry in (METHODS, METRICS, DATASETS):
        vars(registry).pop("_entry_points", None)


def make_visible(folder: Path) -> None:
    """Write the facts that an installation leaves, for whoever looks for entry points."""
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


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    def installed(folder: Path) -> None:
        make_visible(folder)
        monkeypatch.syspath_prepend(folder.resolve())
        forget_entry_points()

    yield installed
    monkeypatch.undo()
    forget_entry_points()


def run_tests(folder: str) -> None:
    """The package's own tests, with nothing but the package on the path."""
    paths = [str(Path(folder).resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(
    page: Path,
    tmp_path: Path,
    cli: Callable[..., Any],
    install: Callable[[Path], None],
    short_lived_plugins: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    printed, done = "", 0
    for language, title, code in blocks(page):
        if title:
            Path(title).write_text(code, encoding="utf-8")
        elif language == "text":
            assert code.strip() in printed
        for line in code.splitlines() if language == "sh" else []:
            done += 1
            if line.startswith("pip install -e "):
                install(Path(line.split()[-1]))
            elif line.startswith("python -m pytest "):
                run_tests(line.split()[-1])
            else:
                command, _, remark = line.partition("  # ends with ")
                program, *words = command.split()
                assert program == "imedbench"
                ended = cli(*words)
                assert ended.code == int(remark or 0), f"{line}\n{ended.out}\n{ended.err}"
                printed = ended.out
    assert done >= 6


def test_there_is_a_page_for_every_kind() -> None:
    kinds = {page.stem.removeprefix("add-a-") for page in PAGES}
    assert kinds == {"method", "metric", "dataset"}
