"""From files on disk to the printed table or page: what a reader sees is what was measured."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imedbench.analysis.best import judge_split
from imedbench.analysis.protocols import Grade
from imedbench.analysis.protocols.collect import evidence, protocol_ranks
from imedbench.analysis.statistics import compare_paired, holm
from imedbench.analysis.tables import pair_table, summarise
from imedbench.core.datasets import PairRef
from imedbench.core.images import write_image
from imedbench.core.transforms import Affine
from imedbench.core.types import Outcome
from imedbench.runs.store import Prediction, Score, Store

Cli = Callable[..., Any]
SPLIT = "multi-modal"
IDENTITY = {"tre_mean": 20.0, "tre_median": 20.0, "tre_max": 20.0, "tre_rms": 20.0, "mse": 0.2}


def write_store(folder: Path, methods: dict[str, Sequence[float | Outcome]]) -> Path:
    """A scored run without images: each method's error on each pair, or an outcome without one."""
    store = Store(folder, create=True)
    n = max(map(len, methods.values()))
    store.set_pairs(PairRef(f"p{i}", SPLIT, "test", f"e{i}", "cf", "octa") for i in range(n))
    for method, values in methods.items():
        store.set_method(method, None)
        for i, value in enumerate(values):
            outcome = value if isinstance(value, Outcome) else Outcome.OK
            ok = outcome is Outcome.OK
            shift = Affine([[1, 0, 9], [0, 1, 0]]) if ok or outcome is Outcome.DEGENERATE else None
            row = Prediction(
                f"{method}{i}", method, SPLIT, f"p{i}", outcome, "" if ok else "why", shift
            )
            store.add_prediction(row)
            if outcome.is_answer:
                error = float(value) if ok else None  # type: ignore[arg-type]
                store.add_scores(
                    Score(row.key, name, "1", "t", error and error * charged / 20, charged)
                    for name, charged in IDENTITY.items()
                )
    store.close()
    return folder


def judged(folder: Path) -> Any:
    table = pair_table(Store(folder))
    return judge_split(table, summarise(table))


# What so few pairs can show


def test_holm_corrects_for_the_tests_that_are_shown(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    errors = {f"m{i}": rng.uniform(1, 9, 9).tolist() for i in range(3)}
    better = {name: (np.array(e) - rng.uniform(-1, 3, 9)).tolist() for name, e in errors.items()}
    base, new = write_store(tmp_path / "a", errors), write_store(tmp_path / "b", better)
    rows = json.loads(cli("compare", base, new, "--metrics", "tre_mean", "--json").out)
    raw = [
        compare_paired(np.array(errors[r["method"]]), np.array(better[r["method"]])).p_wilcoxon
        for r in rows
    ]
    assert [r["p"] for r in rows] == pytest.approx(holm(raw))
    assert [r["p"] for r in rows] != pytest.approx(raw)
    (alone,) = json.loads(
        cli("compare", f"{base}@m0", f"{new}@m0", "--metrics", "tre_mean", "--json").out
    )
    assert alone["p"] == pytest.approx(raw[0]), "one test is corrected for nothing"


def test_failures_are_tested_by_mcnemar_and_corrected_with_the_rest(
    cli: Cli, tmp_path: Path
) -> None:
    good, bad = [1.0] * 6, [Outcome.NO_TRANSFORM] * 6
    base, new = write_store(tmp_path / "a", {"m": good}), write_store(tmp_path / "b", {"m": bad})
    ended = cli("compare", base, new, "--metrics", "failures,tre_mean", "--json")
    failures, tre = json.loads(ended.out)
    p = 2 * 0.5**6  # of both tests: all six pairs change the same way
    assert failures["p"] == pytest.approx(2 * p)
    assert tre["p"] == pytest.approx(2 * p)
    assert failures["better"] is None
    printed = cli("compare", base, new, "--metrics", "failures,tre_mean").out
    words = " ".join(printed.split())
    assert "The smallest p that 6 eyes can give in 2 tests is 0.062: nothing can be shown." in words
    assert "The smallest p that 6 eyes can give in 1 test is 0.031." in " ".join(
        cli("compare", base, new, "--metrics", "failures").out.split()
    )


def test_a_method_that_fails_everywhere_is_not_said_to_fail_by_chance(tmp_path: Path) -> None:
    from imedbench.reports.report import headline

    worse = {f"worse{i}": [5.0 + i] * 8 for i in range(6)}
    failing = {"sift": [Outcome.NO_TRANSFORM] * 8}
    split = judged(write_store(tmp_path / "run", {"best": [1.0] * 8, **worse, **failing}))
    assert split.best.method == "best"
    (sift,) = (c for c in split.comparisons if c.other.method == "sift")
    assert sift.p_failures == pytest.approx(2 * 0.5**8), "the only one that fails: nothing to share"
    assert sift.verdict == "worse"
    assert split.comparisons[0].smallest_p == pytest.approx(7 * 2 * 0.5**8)
    assert split.comparisons[0].verdict == "too few pairs to tell"
    assert headline(split) == (
        "`best` has the lowest mean TRE, 1.00 px, and fails on 0 of 8 pairs;"
        " 8 eyes are too few to prove its lead."
    )


def test_a_headline_names_only_what_cannot_be_told_apart(tmp_path: Path) -> None:
    from imedbench.reports.report import headline

    methods: dict[str, Sequence[float | Outcome]] = {
        "best": [1.0, 2.0] * 6,
        "near": [2.0, 1.2] * 6,
        "far": [9.0] * 12,
        "sift": [Outcome.NO_TRANSFORM] * 12,
    }
    assert headline(judged(write_store(tmp_path / "run", methods))) == (
        "`best` has the lowest mean TRE, 1.50 px, and fails on 0 of 12 pairs;"
        " `near` cannot be told from it."
    )


# Protocols


def test_degenerate_transforms_are_graded_as_failed(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "run", {"m": [1.0, Outcome.DEGENERATE]})
    store = Store(folder)
    good, mirrored = evidence(store, pair_table(store))["m"]
    assert good.errors is not None
    assert mirrored.errors is None
    ranks = protocol_ranks(store, pair_table(store))
    assert ranks is not None
    for result in ranks.results["m"].values():
        assert result.grades["p1"] is Grade.FAILED, result.protocol


def test_too_few_matches_fail_under_the_rule_that_asks_for_four(
    cli: Cli, tmp_path: Path, write_manifest: Callable[..., Path]
) -> None:
    plugin = tmp_path / "few.py"
    plugin.write_text(
        "from imedbench.core.methods import register_method\n"
        "from imedbench.core.transforms import Affine\n"
        "from imedbench.core.types import Diagnostics, MethodInfo, Registration\n"
        "@register_method(MethodInfo('few_matches', 'counts matches', 'affine'))\n"
        "def few_matches(fixed, moving, *, n: int = 3):\n"
        "    shown = Diagnostics(values={'n_matches': n})\n"
        "    return Registration(Affine([[1, 0, 2], [0, 1, 0]]), diagnostics=shown)\n"
    )
    data = write_manifest(tmp_path / "data", ["x", "x"])
    out = tmp_path / "run"
    ended = cli(
        *("run", "--data", data, "--plugin", plugin, "--out", out, "--split", SPLIT),
        *("--methods", "few_matches,few_matches:n=4"),
    )
    assert ended.code == 0, ended.err
    store = Store(out)
    ranks = protocol_ranks(store, pair_table(store))
    assert ranks is not None
    lab = {method: results["imed-lab-v3"].figures for method, results in ranks.results.items()}
    assert lab["few_matches"]["failed"] == 1
    assert lab["few_matches:n=4"]["failed"] == 0
    assert cli("report", out).code == 0
    assert "## Under other protocols" in (out / "report.md").read_text()


def test_no_image_is_read_to_grade(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "run", {"m": [1.0, 30.0], "n": [2.0, Outcome.TIMEOUT]})
    store = Store(folder)  # it knows no data set
    ranks = protocol_ranks(store, pair_table(store))
    assert ranks is not None
    fire = ranks.results["m"]["fire-superretina-v1"].figures
    assert fire["mauc"] == pytest.approx((24 / 25 + 0) / 2)


def test_fire_is_averaged_over_its_categories(cli: Cli, tmp_path: Path) -> None:
    """By hand: identity is off by 2 px in S, 12 px in P, 30 px in A."""
    root, rng = tmp_path / "FIRE", np.random.default_rng(5)
    for folder in ("Images", "Ground Truth"):
        (root / folder).mkdir(parents=True)
    for category, shift in {"S": 2, "P": 12, "A": 30}.items():
        scene = np.kron(rng.integers(0, 255, (24, 24, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        for n in (1, 2):
            write_image(root / "Images" / f"{category}01_{n}.jpg", scene)
        points = [(x, y, x - shift, y) for x, y in ((40, 20), (50, 70), (80, 40))]
        rows = "\n".join(" ".join(map(str, row)) for row in points)
        (root / "Ground Truth" / f"control_points_{category}01_1_2.txt").write_text(rows)
    out = tmp_path / "run"
    ended = cli("run", "--data", root, "--methods", "identity", "--out", out)
    assert ended.code == 0, ended.err
    store = Store(out)
    ranks = protocol_ranks(store, pair_table(store))
    assert ranks is not None
    figures = ranks.results["identity"]["fire-superretina-v1"].figures
    areas = {"auc_S": 23 / 25, "auc_P": 13 / 25, "auc_A": 0.0}
    assert {name: figures[name] for name in areas} == pytest.approx(areas)
    assert figures["mauc"] == pytest.approx(sum(areas.values()) / 3)


# What the terminal and the page show


@pytest.mark.parametrize("width", [50, 60, 80])
def test_no_number_is_cut_however_narrow_the_terminal(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, capfd: Any
) -> None:
    from rich.console import Console

    from imedbench.cli import terminal

    monkeypatch.setattr(terminal, "output", Console(width=width, markup=False))
    headers = ["method", "MSE", "RMSE", "failures", "TRE px", "TRE px ok", "change [95 %]", "why"]
    numbers = ["0.038", "0.187", "11 of 13", "1234.56", "21.73", "-0.123 [-0.456, -0.001]"]
    row = ["superpoint-superglue:weights=official", *numbers, "a word"]
    terminal.print_table("t", headers, [row])
    printed = capfd.readouterr().out
    assert max(map(len, printed.splitlines())) <= width
    cells = [c.strip() for line in printed.splitlines() for c in re.split("[│┃]", line)]
    for text in numbers:
        assert text in cells, printed
    letters = re.sub(r"[^a-z:=-]", "", printed)
    assert "superpoint-superglue" in letters


@pytest.mark.parametrize("width", [80, 99, 100, 101, 140])
def test_no_word_is_cut_where_several_columns_are_folded(
    monkeypatch: pytest.MonkeyPatch, width: int, capfd: Any
) -> None:
    from rich.console import Console

    from imedbench.cli import terminal

    monkeypatch.setattr(terminal, "output", Console(width=width, markup=False))
    headers = ["name", "family", "weights licence", "extra", "available", "what it is"]
    row = ["aliked-rot-lightglue", "homography", "BSD-3-Clause AND Apache-2.0"]
    row += ["imedbench[elastix]", "no", "keypoints trained with rotations, " * 3]
    terminal.print_table("t", headers, [row])
    printed = capfd.readouterr().out
    assert max(map(len, printed.splitlines())) <= width
    rows = [line for line in printed.splitlines() if line[:1] in ("│", "┃")]
    assert rows
    assert all(line[-1] in "│┃" for line in rows), "the right border is there"


def test_the_table_of_a_run_is_whole_at_80_columns(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess
    import sys

    folder = tmp_path / "run"
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "imedbench", "run", "--data", "synthetic:pairs=2:size=64"),
            *("--methods", "identity,sift:ratio=0.75", "--metrics", "mse,rmse,tre_mean"),
            *("--out", str(folder)),
        ],
        env={**__import__("os").environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    *lines, last = ran.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert last == f"Page: {folder / 'report.html'}", "to be copied, so on one line"
    assert "no method has a lower mean TRE" in ran.stdout
    shown = {
        (row["split"], row["method"]): row
        for row in json.loads(cli("score", folder, "--metrics", "mse,tre_mean", "--json").out)[
            "summary"
        ]
    }
    for row in shown.values():
        assert f"{row['mse']:.3f}" in ran.stdout
        assert f"{row['tre_mean']:.2f}" in ran.stdout
        assert f"{row['failures']} of 2" in ran.stdout


def test_pairs_without_landmarks_are_listed_by_the_error_they_have(
    cli: Cli, tmp_path: Path, write_manifest: Callable[..., Path]
) -> None:
    data = write_manifest(tmp_path / "data", ["x", "x"])
    lines = [
        ",".join(c for i, c in enumerate(line.split(",")) if i != 3)
        for line in data.read_text().splitlines()
    ]
    data.write_text("\n".join(lines) + "\n")
    out = tmp_path / "run"
    command = ("run", "--data", data, "--methods", "identity", "--out", out, "--split", SPLIT)
    assert cli(*command).code == 0
    assert cli("report", out).code == 0
    page = (out / "report.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("| multi-modal | p0"))
    assert "| MSE |" in row
    assert "TRE" not in page.split("## Every pair")[1].split("##")[0]


METRIC = """
from imedbench.core.metrics import MetricInfo, register_metric

@register_metric(MetricInfo("shift_seen", "how far x moves", "px", higher_is_better=True))
def shift_seen(case):
    return float(case.fixed_from_moving.apply([[0.0, 0.0]])[0, 0])
"""


@pytest.mark.usefixtures("short_lived_plugins")
def test_a_metric_from_a_file_is_compared_and_shown(
    cli: Cli, tmp_path: Path, troublesome: Path, write_manifest: Callable[..., Path]
) -> None:
    plugin = tmp_path / "own_metric.py"
    plugin.write_text(METRIC)
    data = write_manifest(tmp_path / "data", ["shift"] * 7)
    out = tmp_path / "run"
    ran = cli(
        *("run", "--data", data, "--methods", "identity,troublesome", "--out", out),
        *("--plugin", plugin, "--plugin", troublesome, "--split", SPLIT),
        *("--metrics", "mse,tre_mean,shift_seen"),
    )
    assert ran.code == 0, ran.err
    assert "shift_seen" in ran.out
    assert re.search(r"troublesome *│ 2\.000", ran.out)
    sides = (f"{out}@identity", f"{out}@troublesome")
    compared = cli("compare", *sides, "--metrics", "shift_seen", "--json", "--plugin", plugin)
    (row,) = json.loads(compared.out)
    assert (row["before"], row["after"], row["better"]) == (0.0, 2.0, True)
    assert cli("report", out).code == 0
    assert "shift_seen, px ↑" in (out / "report.md").read_text()


def test_a_crashed_method_has_no_failures_but_pairs_without_answer(tmp_path: Path) -> None:
    split = judged(write_store(tmp_path / "run", {"m": [Outcome.CRASH] * 2, "n": [1.0, 2.0]}))
    crashed, fine = split.rows
    assert crashed.failure_text == "2 unanswered"
    assert crashed.means == {}
    assert math.isnan(crashed.mean("mse"))
    assert fine.failure_text == "0 of 2"
