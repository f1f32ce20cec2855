"""What the README promises: its commands parse, its code runs, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from imedbench.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md") if (ROOT / name).is_file()]

pytestmark = pytest.mark.skipif(not PAGES, reason="not run from a checkout")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands() -> list[list[str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [*"".join(blocks(page, "sh")).splitlines(), *re.findall(r"`([^`\n]+)`", text)]
        for line in lines:
            words = (
                shlex.split(line, comments=True) if line.strip().startswith("imedbench ") else []
            )
            if words:
                found.append(words[1:])
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_exists_with_its_options(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"{command.name} has no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    if not any(word.isupper() for word in words):  # a placeholder is no value
        command.make_context(command.name, list(words))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_the_method_in_the_readme_runs(tmp_path: Path, cli: Callable[..., Any]) -> None:
    (code,) = (b for b in blocks(ROOT / "README.md", "python") if "@register_method" in b)
    name = re.search(r'MethodInfo\("([^"]+)"', code)
    assert name is not None
    plugin = tmp_path / "readme_method.py"
    plugin.write_text(code)
    ended = cli(
        *("run", "--plugin", plugin, "--methods", name[1], "--data", "synthetic:size=96:pairs=1"),
        *("--out", tmp_path / "run", "--metrics", "tre_mean", "--split", "multi-modal"),
    )
    assert ended.code == 0, ended.err
    assert name[1] in ended.out


def test_the_pairs_in_the_readme_are_a_manifest(tmp_path: Path) -> None:
    from imedbench.core.pairs_file import read_pairs

    (example,) = (b for b in blocks(ROOT / "README.md", "csv") if "pair_id" in b)
    path = tmp_path / "pairs.csv"
    path.write_text(example)
    for name in re.findall(r"[\w/]+\.(?:png|csv)", example):
        (tmp_path / name).touch()
    assert len(read_pairs(path)) >= 1


def test_the_two_commands_are_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^    |`)make ([a-z-]+)", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert {"run", "test"} <= set(named) <= targets
