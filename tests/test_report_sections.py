"""Parts of the page that only some runs have: what methods saw, stage times, options."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imedbench.analysis.best import judge_split
from imedbench.analysis.run import open_run, score_run
from imedbench.analysis.tables import summarise
from imedbench.core.datasets import open_dataset
from imedbench.core.images import read_image
from imedbench.core.progress import NullProgress
from imedbench.core.registry import METHODS, load_plugin_file
from imedbench.reports.figures import draw_panels
from imedbench.reports.report import write_report
from imedbench.runs.config import RunConfig
from imedbench.runs.runner import run

SPLIT = "multi-modal"
GREY = 50  # a px of error, in the painter's pictures

# Off by as many px as the modality says, and by `off` more; the right shift is 2 px.
PAINTER = f"""
import numpy as np
from imedbench.core.methods import register_method
from imedbench.core.stages import stage
from imedbench.core.transforms import Affine
from imedbench.core.types import Diagnostics, MethodInfo, Registration


@register_method(MethodInfo("painter", "paints its error", "affine"))
def painter(fixed, moving, *, off: int = 0, panels: int = 2, give_up: bool = False, note: str = ""):
    error = int(fixed.modality) if fixed.modality.isdigit() else 0
    with stage("look"):
        picture = np.full((40, 60), {GREY} * error, np.uint8)
    # Nothing to show of the worst pair: a report that takes its first failure finds none.
    pictures = {{f"map_{{n}}": picture for n in range(panels if error != 3 else 0)}}
    shown = Diagnostics(images=pictures)
    if give_up or not fixed.modality.isdigit():
        return Registration.failed("no idea", shown)
    with stage("think"):
        shift = 2 + error + off
    return Registration(Affine([[1, 0, shift], [0, 1, 0]]), diagnostics=shown)
"""


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("plugin") / "painter.py"
    path.write_text(PAINTER)
    load_plugin_file(path)
    yield path
    del METHODS._factories["painter"]


@pytest.fixture(scope="module")
def config(
    tmp_path_factory: pytest.TempPathFactory, painter: Path, write_manifest: Callable[..., Path]
) -> RunConfig:
    """Three pairs with an error of 3, 1 and 2 px, and one that fails."""
    folder = tmp_path_factory.mktemp("sections")
    data = write_manifest(folder / "data", ["3", "1", "2", "fails"])
    return RunConfig(str(data), (), folder / "run", (SPLIT,), plugins=(painter,))


def page_of(config: RunConfig) -> Path:
    run(config, open_dataset(config.data))
    opened = open_run(config.out)
    score_run(opened, ("tre_mean", "tre_median", "tre_max", "mse", "rmse"))
    return write_report(opened, config.out, NullProgress())


@pytest.fixture(scope="module")
def page(config: RunConfig) -> Path:
    variants = ("painter:note=a|b:off=1", "painter:give_up=on:panels=8")
    return page_of(replace(config, methods=("identity", "painter", *variants)))


@pytest.fixture(scope="module")
def bare(config: RunConfig) -> Path:
    """No pictures kept, nothing timed alone, no plain method beside its variant."""
    out = config.out.parent / "bare"
    methods = ("identity", "painter:off=1")
    return page_of(replace(config, methods=methods, out=out, workers=2, diagnostics=False))


def rows_under(page: Path, title: str) -> dict[str, list[str]]:
    """The table under a title, its cells by the first of each row."""
    text = page.read_text().split(f"\n### {title}\n")[1]
    lines = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert lines is not None
    cells = [re.split(r"(?<!\\) ?\| ?", line)[1:-1] for line in lines[0].splitlines()]
    return {row[0]: row[1:] for row in cells}


def seen(page: Path, caption: str) -> np.ndarray:
    """The figure under a caption, grey."""
    link = page.read_text().split(f"\n{caption}\n\n")[1].splitlines()[0]
    file = link[link.rindex("(") + 1 : -1]
    return read_image(page.parent / file).grey()


def test_the_median_pair_is_shown_as_its_method_saw_it(page: Path) -> None:
    figure = seen(page, "What `painter` saw on its median pair, `p2`:")
    height, width = figure.shape
    for column in (width // 4, 3 * width // 4):
        assert abs(int(figure[2 * height // 3, column]) - 2 * GREY) <= 1, "the pair off by 2 px"


def test_a_method_that_only_fails_shows_its_first_failure_with_pictures(page: Path) -> None:
    caption = (
        "What `painter:give_up=on:panels=8` saw on its first failed pair with pictures, `p1`,"
        " first 6 pictures:"
    )
    figure = seen(page, caption)
    middle = figure[2 * figure.shape[0] // 3].astype(int)
    painted = abs(middle - GREY) <= 1
    assert (np.diff(painted.astype(int)) == 1).sum() == 6


def test_panels_have_one_height_and_true_grey_levels(tmp_path: Path) -> None:
    wide, tall = np.full((30, 90), 200, np.uint8), np.full((90, 20), 100, np.uint8)
    draw_panels({"wide": wide, "a_long_name_over_little": tall}, tmp_path / "panels.png")
    figure = read_image(tmp_path / "panels.png").grey().astype(int)
    heights, widths = [], []
    for grey in (200, 100):
        rows, columns = np.nonzero(np.abs(figure - grey) <= 1)
        across = np.bincount(columns, minlength=figure.shape[1])
        widths.append(int((across > 0.9 * across.max()).sum()))
        heights.append(int(across.max()))
        assert len(rows) > 1000
    assert abs(heights[0] - heights[1]) <= 2
    assert widths[0] == pytest.approx(3 * heights[0], rel=0.02), "not squashed"
    assert widths[1] == pytest.approx(heights[1] * 2 / 9, rel=0.05), "not squashed"


def test_stages_are_listed_for_the_methods_that_have_them(page: Path) -> None:
    rows = rows_under(page, "Where the time goes")
    assert list(rows)[2:] == [
        "`painter`",
        "`painter:note=a\\|b:off=1`",
        "`painter:give_up=on:panels=8`",
    ]
    assert rows["`painter`"][0] == "4", "the failed pair as well"
    assert re.fullmatch(r"look \d+\.\d, think \d+\.\d", rows["`painter`"][1])
    assert re.fullmatch(r"look \d+\.\d", rows["`painter:give_up=on:panels=8`"][1])


def test_stage_medians_are_over_answered_pairs_timed_alone() -> None:
    stages = {
        "1": {"maps": 10.0, "search": 5.0},
        "2": {"maps": 30.0},
        "3": {"maps": 999.0},  # not timed alone
        "4": {"maps": 999.0},  # no answer
        "5": {"maps": 20.0, "polish": 3.0, "search": 7.0},
        "6": {"maps": 999.0},  # of another split
        "7": {},
    }
    table = pd.DataFrame(
        {
            "method": ["a"] * 6 + ["b"],
            "split": [SPLIT] * 5 + ["single-modal", SPLIT],
            "group": "",
            "outcome": ["ok", "no_transform", "ok", "crash", "ok", "ok", "ok"],
            "latency_ms": [9.0, 9.0, np.nan, 9.0, 9.0, 9.0, 9.0],
            "stages": [json.dumps(times) for times in stages.values()],
        }
    )
    rows = {(row.method, row.split): row for row in summarise(table)}
    a = rows["a", SPLIT]
    assert a.n_staged == 3
    assert list(a.stages.items()) == [("maps", 20.0), ("search", 5.0), ("polish", 0.0)]
    assert rows["b", SPLIT].stages == {}


def test_variants_are_compared_with_the_plain_method(page: Path) -> None:
    """By hand: the plain errors are 3, 1, 2 px and 2 px charged; off=1 adds 1 px to three of them.

    Signed ranks of (1, 1, 1) give p = 2 / 2³, twice that by Holm; those of (-1, 1) give 1.
    """
    rows = rows_under(page, "What the options change")
    assert list(rows)[2:] == ["none", "`note=a\\|b:off=1`", "`give_up=on:panels=8`"]
    plain, off, given_up = list(rows.values())[2:]
    assert plain[0] == off[0] == "1 of 4"
    assert given_up[0] == "4 of 4"
    assert plain[1].startswith("2.00 [")
    assert off[1].startswith("2.75 [")
    assert given_up[1].startswith("2.00 [2.00, 2.00]")
    assert plain[2:4] == ["–", "–"]
    assert off[2].startswith("0.75 [")
    assert off[3] == "0.500"
    assert given_up[2].startswith("0.00 [")
    assert given_up[3:] == ["1.000", "–"]
    assert float(plain[4]) >= 0


def scored(**outcomes: str) -> pd.DataFrame:
    """Four pairs a method, all with one outcome and an MSE of 0.1 where that is a success."""
    rows = [
        {
            "method": method.replace("__", ":").replace("_IS_", "="),
            "split": SPLIT,
            "pair_id": f"p{n}",
            "group": f"e{n}",
            "outcome": outcome,
            "latency_ms": np.nan,
            "stages": "{}",
            "mse": 0.1 if outcome == "ok" else np.nan,
            "mse|identity": 0.2,
        }
        for method, outcome in outcomes.items()
        for n in range(4)
    ]
    return pd.DataFrame(rows)


def compared(table: pd.DataFrame) -> list[tuple[str, list[str]]]:
    found = judge_split(table, summarise(table)).ablations
    return [(a.plain.method, [v.options for v in a.variants]) for a in found]


def test_variants_belong_to_the_method_of_exactly_their_name() -> None:
    table = scored(
        imed__refine_IS_off="ok",
        imed="ok",
        imedfast="ok",
        fast__size_IS_8="ok",
        imed__a_IS_1__b_IS_2="no_transform",
    )
    assert compared(table) == [("imed", ["refine=off", "a=1:b=2"])]


def test_a_variant_without_all_its_answers_has_no_table() -> None:
    assert compared(scored(imed="ok", imed__a_IS_1="ok", imed__b_IS_1="crash")) == []
    assert compared(scored(imed="missing", imed__a_IS_1="ok")) == []


def test_a_run_without_such_things_has_no_such_sections(page: Path, bare: Path) -> None:
    for title in ("### What the options change", "### Where the time goes", "\nWhat `"):
        assert title in page.read_text()
        assert title not in bare.read_text()
    assert "What `identity`" not in page.read_text()
    assert not list((bare.parent / "figures").glob("*-seen.png"))
