"""The page about a run: what it says, links and leaves out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from imedbench.analysis.best import judge_split
from imedbench.analysis.run import Run, open_run, score_run
from imedbench.analysis.tables import failure_reasons, summarise
from imedbench.core.datasets import open_dataset
from imedbench.core.images import read_image
from imedbench.core.progress import NullProgress
from imedbench.reports.report import write_report
from imedbench.runs.config import RunConfig
from imedbench.runs.runner import run
from imedbench.runs.store import Store

METRICS = ("tre_mean", "tre_median", "tre_max", "mse", "rmse", "dice")


def make_run(folder: Path, data: Path, plugin: Path, *methods: str) -> Run:
    config = RunConfig(str(data), methods, folder, ("multi-modal",), plugins=(plugin,))
    run(config, open_dataset(str(data)))
    opened = open_run(folder)
    score_run(opened, METRICS)
    return opened


@pytest.fixture(scope="module")
def page(
    tmp_path_factory: pytest.TempPathFactory, troublesome: Path, write_manifest: Callable[..., Path]
) -> Path:
    """Identity, SIFT and a method with successes and failures, on five pairs of hard names."""
    folder = tmp_path_factory.mktemp("report")
    data = write_manifest(folder / "data", ["shift", "shift", "mirror", "shift", "give-up"])
    opened = make_run(folder / "run", data, troublesome, "identity", "troublesome:note=a|b", "sift")
    return write_report(opened, folder / "page", NullProgress())


@pytest.fixture(scope="module")
def incomplete(
    tmp_path_factory: pytest.TempPathFactory, troublesome: Path, write_manifest: Callable[..., Path]
) -> Path:
    folder = tmp_path_factory.mktemp("incomplete")
    data = write_manifest(folder / "data", ["shift", "raise", "shift"])
    opened = make_run(folder / "run", data, troublesome, "troublesome", "unready:how=refuse")
    return write_report(opened, folder / "run", NullProgress())


def tables(page: Path) -> list[list[list[str]]]:
    """Every table as rows of cells, its rule left out."""
    found: list[list[list[str]]] = [[]]
    for line in page.read_text().splitlines():
        if line.startswith("|"):
            cells = [c.strip() for c in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
            if not set("".join(cells)) <= set("-"):
                found[-1].append(cells)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def section(page: Path, title: str) -> str:
    text = page.read_text()
    return text[text.index(f"## {title}\n") :].split("\n## ")[0]


def test_every_picture_is_there_and_can_be_read(page: Path) -> None:
    links = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", page.read_text())
    assert len(links) >= 4
    assert len(set(links)) == len(links)
    for link in links:
        assert read_image(page.parent / link).size[0] > 100
    drawn = {f"figures/{file.name}" for file in (page.parent / "figures").iterdir()}
    assert drawn == set(links)


def test_every_table_is_whole(page: Path, incomplete: Path) -> None:
    for path in (page, incomplete):
        found = tables(path)
        assert len(found) >= 5
        for table in found:
            assert len({len(row) for row in table}) == 1, table[0]


def test_no_place_of_this_machine_is_named(page: Path, incomplete: Path) -> None:
    for path in (page, incomplete):
        text = path.read_text()
        assert str(path.parent.parent) not in text
        assert re.search(r"(?<![\w.])/(tmp|home|root|work|var)/", text) is None


def test_the_seeds_table_counts_failures_and_charges_them(page: Path) -> None:
    seed = tables(page)[0]
    assert seed[0][:4] == ["method", "MSE", "RMSE", "failures"]
    rows = {row[0]: row[1:] for row in seed[1:]}
    assert rows["`identity`"][2] == "0 of 5"
    assert rows["`identity`"][3].startswith("2.00 [")
    own = rows["`troublesome:note=a\\|b`"]
    assert own[2] == "2 of 5"
    assert own[3].startswith("0.80 ["), "two failures of five are charged 2 px each"
    assert own[4] == "0.00"


def test_failures_are_told_with_their_reasons(page: Path) -> None:
    text = section(page, "Failures")
    assert "it mirrors the image" in text
    assert "nothing to hold on to" in text


def test_every_pair_is_listed_under_every_method(page: Path) -> None:
    listed = section(page, "Every pair")
    for pair in ("p0", "p1", "p2", "p3", "p4"):
        assert f"| {pair} |" in listed
    assert "degenerate" in listed
    assert "no transform" in listed


def test_an_incomplete_run_shows_no_means(incomplete: Path) -> None:
    seed = tables(incomplete)[0]
    for row in seed[1:]:
        assert row[1:3] == ["–", "–"]
    text = incomplete.read_text()
    assert "lowest mean" not in text
    assert "KeyError" in section(incomplete, "Failures")
    assert "not built on this machine" in section(incomplete, "Failures")
    assert "`unready:how=refuse`" in section(incomplete, "Every pair")


def test_a_run_that_was_never_scored_has_a_page(
    incomplete: Path, tmp_path: Path, troublesome: Path
) -> None:
    opened = open_run(incomplete.parent)
    with opened.store._db as db:
        saved = db.execute("SELECT * FROM scores").fetchall()
        db.execute("DELETE FROM scores")
    try:
        assert write_report(opened, tmp_path, NullProgress()).is_file()
    finally:
        with opened.store._db as db:
            db.executemany("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)", map(tuple, saved))


def test_a_method_that_only_fails_is_not_called_best(
    tmp_path: Path, troublesome: Path, write_manifest: Callable[..., Path]
) -> None:
    data = write_manifest(tmp_path / "data", ["give-up", "give-up"])
    opened = make_run(tmp_path / "run", data, troublesome, "identity", "troublesome")
    text = write_report(opened, tmp_path / "run", NullProgress()).read_text()
    assert "no method has a lower mean TRE than the images left as they are" in text
    table = opened.table()
    rows = summarise(table)
    assert judge_split(table, rows).best is None
    assert judge_split(table, rows[1:]).best is None


def test_reasons_that_differ_in_numbers_count_as_one() -> None:
    import pandas as pd

    table = pd.DataFrame(
        {
            "method": ["m"] * 4,
            "split": ["s"] * 4,
            "pair_id": list("abcd"),
            "outcome": ["no_transform", "no_transform", "no_transform", "ok"],
            "reason": ["3 matches, 4 needed", "12 matches, 4 needed", "blank", ""],
        }
    )
    found = [(r["reason"], r["count"], r["pair_id"]) for r in failure_reasons(table)]
    assert found == [("3 matches, 4 needed", 2, "a"), ("blank", 1, "c")]


def test_nothing_of_the_database_is_changed_by_a_report(page: Path, tmp_path: Path) -> None:
    folder = page.parent.parent / "run"
    before = [p.key for p in Store(folder).predictions()]
    write_report(open_run(folder), tmp_path, NullProgress())
    assert [p.key for p in Store(folder).predictions()] == before


def test_names_of_others_break_neither_tables_nor_the_page(
    tmp_path: Path, troublesome: Path, write_manifest: Callable[..., Path]
) -> None:
    data = write_manifest(tmp_path / "data", ["shift", "raise", "mirror"])
    names = ["../../<img src=x>", "a`b*c_" + "x" * 300, "‏مرحبا [x](y)"]
    text = data.read_text()
    for n, name in enumerate(names):
        text = text.replace(f"\np{n},", f"\n{name},")
    data.write_text(text)
    methods = ("troublesome:note=<script>", "troublesome:note=`|`")
    opened = make_run(tmp_path / "run", data, troublesome, *methods)
    page = write_report(opened, tmp_path / "page", NullProgress())
    for table in tables(page):
        assert len({len(row) for row in table}) == 1, table[0]
    outside = re.sub(r"`[^`\n]*`", "", page.read_text())
    assert not re.search(r"<(script|img)", outside)
    assert {f.name for f in tmp_path.iterdir()} == {"data", "run", "page"}
    assert all(f.parent == page.parent / "figures" for f in page.parent.rglob("*.*g"))
