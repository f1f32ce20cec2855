"""What the documentation promises: its code runs, its commands and options exist and parse.

Each page is followed from top to bottom in an empty folder. What a reader does not see steers it:

- ``<!-- images: a_cf.png a_octa.png -->`` draws the images that the page takes for granted,
- ``<!-- run: OLD => NEW -->`` makes the next block smaller,
- ``<!-- not run: why -->`` leaves the next block out, and is counted.

A command ends with 0 unless the remark beside it says ``ends with N``. A block with a title is the
file of that name, and the images that a table of pairs lists are drawn. A block of text is what the
commands before it print, but for times in a table.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main

from imedbench.analysis.protocols import PROTOCOLS
from imedbench.cli import app
from imedbench.core.datasets import open_dataset
from imedbench.core.images import write_image
from imedbench.core.registry import METHODS, METRICS, WRAPPERS
from imedbench.core.types import Outcome

ROOT = Path(__file__).parents[1]
GENERATED = ROOT / "docs/reference/commands.md"
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")} - {GENERATED})
NOT_FOLLOWED = ("CHANGELOG.md", "CONTRIBUTING.md")  # and test_add_a_plugin.py follows its own
FOLLOWED = [p for p in PAGES if p.name not in NOT_FOLLOWED and not p.name.startswith("add-a-")]
NOT_RUN = 3  # blocks that need a network or a cluster; raise it knowingly
ELSEWHERE = ("pip ", "make ", "git ", "python ")  # lines of other programs, not run
OF_OTHERS = {"--no-deps", "--extra-index-url", "--strict", "--array", "--signal"}  # options

pytestmark = pytest.mark.skipif(not PAGES, reason="not run from a checkout")


@dataclass(frozen=True)
class Block:
    """A block of code, as it is run."""

    language: str
    title: str
    code: str
    images: tuple[str, ...]
    skipped: str


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page with what the remarks before them ask for."""
    text = page.read_text(encoding="utf-8")
    steering: list[tuple[str, str]] = []
    found = r"<!-- (images|run|not run): (.*?) -->|^( *)```(\w+)([^\n]*)\n(.*?)^ *```"
    for match in re.finditer(found, text, re.DOTALL | re.MULTILINE):
        if match[1]:
            steering.append((match[1], match[2]))
            continue
        code = re.sub(rf"^{match[3]}", "", match[6], flags=re.MULTILINE)
        for kind, asked in steering:
            if kind == "run":
                old, new = asked.split(" => ")
                assert old in code, f"{page.name}: {old} is not in the block after it"
                code = code.replace(old, new)
        title = re.search(r'title="([^"]+)"', match[5])
        images = [name for kind, names in steering if kind == "images" for name in names.split()]
        skipped = next((why for kind, why in steering if kind == "not run"), "")
        yield Block(match[4], title[1] if title else "", code, tuple(images), skipped)
        steering = []


def commands(page: Path) -> Iterator[tuple[str, ...]]:
    """Every command line in a block of a page."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = "".join(re.findall(r"```(?!text|python)\w.*?\n(.*?)```", text, re.DOTALL))
    yield from in_lines([*fenced.splitlines(), *re.findall(r"^    (\S.*)$", text, re.MULTILINE)])


def mentions(page: Path) -> Iterator[tuple[str, ...]]:
    """Every command that the text of a page names."""
    yield from in_lines(re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")))


def in_lines(lines: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for line in lines:
        found = re.match(r"\s*(?:- )?(?:run: )?imedbench (.+)", line)
        if found:
            words = re.sub(r"\$\w+", "1", found[1])  # of a shell's variable
            yield tuple(shlex.split(words, comments=True))


IN_BLOCKS = sorted({words for page in PAGES for words in commands(page)})
IN_TEXT = sorted({words for page in PAGES for words in mentions(page)})


def subcommand(words: list[str]) -> tuple[Any, list[str]]:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{command.name} has no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("words", IN_TEXT, ids=" ".join)
def test_every_command_named_in_the_text_exists_with_its_options(words: tuple[str, ...]) -> None:
    command, rest = subcommand(list(words))
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    assert {w for w in rest if re.fullmatch(r"--[a-z-]+", w)} <= {*known, "--help"}


@pytest.mark.parametrize("words", IN_BLOCKS, ids=" ".join)
def test_every_command_in_a_block_parses(words: tuple[str, ...]) -> None:
    command, rest = subcommand(list(words))
    if not any("(" in word or word == "…" for word in rest):  # and so on
        command.make_context(command.name, rest, resilient_parsing=command.name == "imedbench")


def test_every_option_named_in_the_text_exists() -> None:
    def options(command: Any) -> Iterator[str]:
        for parameter in command.params:
            yield from (*parameter.opts, *parameter.secondary_opts)
        for child in getattr(command, "commands", {}).values():
            yield from options(child)

    known = {*options(typer.main.get_command(app)), *OF_OTHERS, "--help", "--install-completion"}
    for page in PAGES:
        for code in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")):
            named = set(re.findall(r"(?<!\S)--[a-z][a-z-]+", code))
            assert named <= known, f"{page.name}: {named - known}"


@pytest.mark.timeout(900)  # a page has many commands, and a machine may be busy
@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_runs(
    page: Path,
    tmp_path: Path,
    cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    short_lived_plugins: None,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("typer.launch", lambda page: None)
    names: dict[str, Any] = {"__name__": "page"}
    printed = ""
    for block in blocks(page):
        draw_images(block.images)
        if block.skipped:
            continue
        if block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.code, encoding="utf-8")
            draw_images(listed_files(block))
        elif block.language == "python":
            exec(compile(block.code, str(page), "exec"), names)
        elif block.language == "sh":
            printed = run_lines(block.code, cli)
        elif block.language == "text" and printed:
            assert_same_rows(block.code, printed)


def run_lines(code: str, cli: Callable[..., Any]) -> str:
    """Run a shell block: in this process where each line is a command of imedbench's.

    Returns what it printed.
    """
    lines = [line for line in code.replace("\\\n", " ").splitlines() if line.strip()]
    if not all(line.startswith(("imedbench ", "#", *ELSEWHERE)) for line in lines):
        stub = Path("bin/imedbench")
        stub.parent.mkdir(exist_ok=True)
        stub.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m imedbench "$@"\n')
        stub.chmod(0o755)
        path = f"{stub.parent.resolve()}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path}
        shell = ("bash", "-ec", code)
        return subprocess.run(shell, env=environment, check=True, text=True, stdout=-1).stdout
    printed = ""
    for line in lines:
        if line.startswith("imedbench "):
            expected = re.search(r"#.*ends with (\d+)", line)
            ended = cli(*shlex.split(line, comments=True)[1:])
            assert ended.code == int(expected[1] if expected else 0), f"{line}\n{ended.err}"
            printed += ended.out
    return printed


def assert_same_rows(shown: str, printed: str) -> None:
    """Hold a table to what was printed: words to the letter, figures to a tenth, times not.

    Text without a table has to be there as it is, but for where lines break.
    """
    rows = re.compile(r"^[│┃] (.+) [│┃]$", re.MULTILINE)
    table, found = rows.findall(shown), rows.findall(printed)
    if not table:
        assert " ".join(shown.split()) in " ".join(printed.split())
    for row, other in zip(table, found, strict=False):
        for cell, now in zip(re.split("[│┃]", row)[:-1], re.split("[│┃]", other)[:-1], strict=True):
            if re.fullmatch(r"[\d.]+", cell.strip()):
                assert float(cell) == pytest.approx(float(now), rel=0.1, abs=0.02)
            else:
                assert cell.strip() == now.strip()


def listed_files(block: Block) -> Iterator[str]:
    """The images of a table of pairs, where each lies, and its landmark files."""
    if block.language == "csv" and "fixed" in block.code.splitlines()[0].split(","):
        for row in csv.DictReader(io.StringIO(block.code)):
            for column in ("fixed", "moving", "landmarks"):
                if row.get(column):
                    yield str(Path(block.title).parent / row[column])


def draw_images(names: Any) -> None:
    """Write what is missing: the two images of a synthetic eye in turn, landmarks as a CSV."""
    data = open_dataset("synthetic:size=128:pairs=1:level=easy")
    pair = data.load(data.refs("multi-modal")[0])
    truth, turn = pair.truth, 0
    for path in map(Path, names):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            assert truth.moving_points is not None
            assert truth.fixed_points is not None
            points = zip(truth.moving_points, truth.fixed_points, strict=True)
            rows = [",".join(f"{v:.3f}" for v in (*moving, *fixed)) for moving, fixed in points]
            path.write_text("\n".join(["moving_x,moving_y,fixed_x,fixed_y", *rows]) + "\n")
        else:
            write_image(path, (pair.fixed, pair.moving)[turn % 2].pixels)
            turn += 1


def test_what_is_not_run_is_known() -> None:
    skipped = [block for page in FOLLOWED for block in blocks(page) if block.skipped]
    assert len(skipped) == NOT_RUN, [block.skipped for block in skipped]
    assert sum(block.language in ("sh", "python") for p in FOLLOWED for block in blocks(p)) > 15


@pytest.mark.parametrize(
    ("page", "registered"),
    [
        ("README.md", lambda: METHODS.names()),
        ("README.md", lambda: [f"{name}+" for name in WRAPPERS.names()]),
        ("docs/reference/measures.md", lambda: METRICS.names()),
        ("docs/explanation/protocols.md", lambda: PROTOCOLS),
        ("docs/explanation/failures.md", lambda: Outcome),
    ],
    ids=["methods", "wrappers", "metrics", "protocols", "outcomes"],
)
def test_nothing_that_there_is_goes_unnamed(page: str, registered: Callable[[], Any]) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    missing = [name for name in registered() if f"`{name}" not in text]
    assert not [name for name in missing if "example" not in name and "troublesome" not in name]
