"""The command line: what it prints, writes and ends with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from imedbench.core.images import write_image
from imedbench.core.transforms import from_dict
from imedbench.runs.store import Store

Cli = Callable[..., Any]
FAST = ("--metrics", "tre_mean,mse,folding")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def data(folder: Path, write_manifest: Callable[..., Path]) -> Path:
    return write_manifest(folder / "own [pairs]", ["shift", "give-up"])


@pytest.fixture(scope="module")
def finished(folder: Path, data: Path, troublesome: Path) -> Path:
    """A run of identity and the troublesome method, made once."""
    from imedbench.analysis.run import open_run, score_run
    from imedbench.core.datasets import open_dataset
    from imedbench.runs.config import RunConfig
    from imedbench.runs.runner import run

    out = folder / "finished"
    methods = ("identity", "troublesome")
    config = RunConfig(str(data), methods, out, ("multi-modal",), plugins=(troublesome,))
    run(config, open_dataset(str(data)))
    score_run(open_run(out), ("tre_mean", "mse", "folding"))
    return out


def table_rows(text: str) -> dict[str, list[str]]:
    """Cells of a printed table by their first one."""
    lines = [line for line in text.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def test_run_prints_a_table_and_ends_well(cli: Cli, finished: Path, data: Path) -> None:
    ended = cli("score", finished, *FAST)
    assert ended.code == 0
    assert "own [pairs], multi-modal" in ended.out, "brackets are no markup"
    rows = table_rows(ended.out)
    assert list(rows) == ["identity", "troublesome"]
    assert rows["identity"][2:5] == ["0 of 2", "2.00", "2.00"]
    assert rows["troublesome"][2:5] == ["1 of 2", "1.00", "0.00"], "a failure is charged 2 px"


def test_json_is_all_that_stdout_holds(cli: Cli, data: Path, folder: Path) -> None:
    ended = cli(
        *("run", "--data", data, "--methods", "identity", "--out", folder / "json", "--json"),
        *("--split", "multi-modal", *FAST),
    )
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    assert content["complete"] is True
    assert content["summary"][0]["tre_mean"] == pytest.approx(2)
    assert content["provenance"]["versions"]["imedbench"]
    assert ended.err == ""


def test_both_splits_are_run_where_both_exist(cli: Cli, data: Path, folder: Path) -> None:
    command = ("run", "--data", data, "--methods", "identity", "--out", folder / "both", *FAST)
    ended = cli(*command)
    assert ended.code == 0
    assert "note: " in ended.err
    assert "no row has a fake_octa image" in ended.err
    assert ended.err.count("\n") == 1
    asked = cli(*command, "--split", "single-modal")
    assert asked.code == 2
    assert "no single-modal pairs" in asked.err


def test_a_crash_makes_the_run_incomplete(
    cli: Cli, folder: Path, write_manifest: Callable[..., Path], troublesome: Path
) -> None:
    data = write_manifest(folder / "crashing", ["shift", "raise"])
    ended = cli(
        *("run", "--data", data, "--methods", "troublesome", "--out", folder / "crashed"),
        *("--plugin", troublesome, "--split", "multi-modal", *FAST),
    )
    assert ended.code == 3
    assert "INCOMPLETE: 1 of 2 rows have no answer" in ended.err
    assert "troublesome on p1 (crash: KeyError" in ended.err
    row = table_rows(ended.out)["troublesome"]
    assert row[:3] == ["–", "–", "0 of 2, 1 unanswered"], "no mean over an incomplete set"
    report = cli("report", folder / "crashed")
    assert report.code == 3
    assert "INCOMPLETE: 1 of 2 rows have no answer" in report.err
    page = (folder / "crashed" / "report.md").read_text()
    assert "> **INCOMPLETE**: 1 of 2 rows have no answer" in page
    assert "0 of 2, 1 unanswered" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "sfit"], "there is no method named 'sfit'; did you mean sift"),
        (["--methods", "sift:ration=1"], "no option 'ration'; did you mean ratio"),
        (["--methods", "sift,sift"], "names something twice"),
        (["--methods", ","], "an empty list of names"),
        (["--metrics", "dise"], "there is no metric named 'dise'; did you mean dice"),
        (["--data", "syntetic"], "there is no data set named 'syntetic'; did you mean synthetic"),
        (["--data", "no/such/pairs.csv"], "no/such/pairs.csv: no such file or folder"),
        (["--data", "synthetic:size=big"], "option size='big': not a whole number"),
        (["--data", "imed"], "needs its option root: imed:root="),
        (["--device", "tpu"], "there is no device 'tpu'"),
        (["--plugin", "no-such.py"], "no-such.py: no such file"),
        (["--subset", "train"], "no pairs in subset 'train'"),
    ],
)
def test_bad_requests_are_one_line_and_write_nothing(
    arguments: list[str], message: str, cli: Cli, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    ended = cli("run", "--data", "synthetic:pairs=1:size=64", "--out", out, *arguments)
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert ended.out == ""
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments", [["--split", "mono"], ["--limit", "0"], ["--workers", "x"], ["--nonsense"]]
)
def test_bad_options_end_with_two(arguments: list[str], cli: Cli) -> None:
    ended = cli("run", *arguments)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_other_settings_are_refused_with_the_flag_that_helps(
    cli: Cli, finished: Path, data: Path
) -> None:
    ended = cli(
        *("run", "--data", data, "--methods", "identity", "--out", finished),
        *("--split", "multi-modal", "--seed", 5),
    )
    assert ended.code == 2
    assert "holds results for seed = 0, now 5 is asked for" in ended.err
    assert "--recompute" in ended.err


def test_scores_of_a_run_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    for command in ("score", "report"):
        ended = cli(command, tmp_path)
        assert ended.code == 2
        assert ended.err == f"error: {tmp_path}: no run here (there is no run.json)\n"
    (tmp_path / "run.json").write_text("{}")
    damaged = cli("score", tmp_path)
    assert damaged.code == 2
    assert "damaged" in damaged.err


def test_a_run_whose_data_moved_is_opened_with_data(
    cli: Cli, folder: Path, finished: Path, write_manifest: Callable[..., Path]
) -> None:
    import shutil

    elsewhere = shutil.copytree(finished, folder / "elsewhere")
    settings = json.loads((elsewhere / "run.json").read_text())
    settings["config"]["data"] = str(folder / "gone" / "pairs.csv")
    (elsewhere / "run.json").write_text(json.dumps(settings))
    ended = cli("score", elsewhere, *FAST)
    assert ended.code == 2
    assert "say --data" in ended.err
    found = cli("score", elsewhere, *FAST, "--data", folder / "own [pairs]")
    assert found.code == 0, found.err


def test_a_report_that_cannot_be_written_says_so(cli: Cli, finished: Path) -> None:
    ended = cli("report", finished, "--out", finished / "run.json")
    assert ended.code == 2
    assert ended.err == f"error: {finished / 'run.json'}: cannot be made (File exists)\n"


def test_lists(cli: Cli) -> None:
    for kind, name in {"methods": "sift", "metrics": "tre_mean", "datasets": "synthetic"}.items():
        ended = cli("list", kind)
        assert ended.code == 0
        assert name in table_rows(ended.out)
        listed = json.loads(cli("list", kind, "--json").out)
        assert {"name", "summary"} <= listed[0].keys()
        assert [row["name"] for row in listed] == sorted(row["name"] for row in listed)
    assert "memo-success-v1" in table_rows(cli("list", "protocols").out)
    assert "10 px" in cli("info", "memo-success-v1").out
    assert cli("list", "things").code == 2


def test_a_plugin_that_cannot_be_used_is_listed_with_the_reason(
    cli: Cli, troublesome: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imedbench.core.errors import Declined
    from imedbench.core.registry import METHODS

    def unusable() -> None:
        raise Declined("its extra is not installed")

    monkeypatch.setitem(METHODS._factories, "unusable", unusable)
    ended = cli("list", "methods", "--json")
    assert ended.code == 0
    (row,) = (row for row in json.loads(ended.out) if row["name"] == "unusable")
    assert row["summary"] == "cannot be used here: its extra is not installed"


def test_info_tells_facts_and_options(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = cli("info", "sift")
    rows = table_rows(ended.out)
    assert rows["estimator"] == ["MAGSAC homography 3 px"]
    assert rows["ratio"] == ["float", "0.8"]
    facts = json.loads(cli("info", "sift", "--json").out)
    assert facts["kind"] == "method"
    assert {o["name"]: o["default"] for o in facts["options"]}["model"] == "homography"
    root = json.loads(cli("info", "manifest", "--json").out)["options"]
    assert root == [
        {"name": "root", "type": "Path", "default": "needed"},
        {"name": "transfer_weights", "type": "Path | none", "default": None},
    ]
    wrapped = cli("info", "vessel+sift")
    assert "ratio" in wrapped.out
    assert "on maps of vessels" in wrapped.out
    switches = cli("info", "imed").out
    assert "off" in switches
    assert "False" not in switches
    monkeypatch.setattr("imedbench.methods.simple_itk.find_spec", lambda name: None)
    lacking = json.loads(cli("info", "mutual-information", "--json").out)
    assert lacking["available"].startswith("no: mutual information needs one more package")
    assert lacking["extra"] == "imedbench[itk]"
    unknown = cli("info", "siftt")
    assert unknown.code == 2
    assert "did you mean sift" in unknown.err


def test_data_check_counts_and_remarks(cli: Cli, data: Path) -> None:
    ended = cli("data", "check", data)
    assert ended.code == 0
    assert table_rows(ended.out)["multi-modal"][:3] == ["2", "2", "0 / 2"]
    assert "note: " in ended.out
    content = json.loads(cli("data", "check", data, "--json").out)
    assert content["splits"][0]["sizes"] == {"64×64": 2}
    missing = cli("data", "check", data.parent / "nothing.csv")
    assert missing.code == 2


def test_help_and_version(cli: Cli) -> None:
    for command in ([], ["run"], ["score"], ["report"], ["register"], ["list"], ["info"], ["data"]):
        ended = cli(*command, "--help")
        assert ended.code == 0
        assert "Usage" in ended.out
    assert re.fullmatch(r"imedbench \d+\.\d+\.\d+\S*\n", cli("--version").out)


# One pair of one's own images


@pytest.fixture(scope="module")
def images(folder: Path) -> tuple[Path, Path]:
    noise = np.random.default_rng(3).normal(size=(160, 164)).astype(np.float32)
    scene = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    scene = scene.astype(np.uint8)
    fixed, moving = folder / "fixed.png", folder / "moving.png"
    write_image(fixed, np.dstack([scene[:, :-4]] * 2 + [scene[:, :-4] // 2]))
    write_image(moving, scene[:, 4:])
    return fixed, moving


def test_register_writes_its_four_files(
    cli: Cli, images: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "aligned"
    ended = cli("register", *images, "--method", "sift:model=affine", "--out", out)
    assert ended.code == 0, ended.err
    names = {"warped.png", "overlay.png", "checkerboard.png", "transform.json"}
    assert {file.name for file in out.iterdir()} == names
    facts = json.loads((out / "transform.json").read_text())
    transform = from_dict(facts["fixed_from_moving"])
    np.testing.assert_allclose(transform.apply([[50, 60]]), [[54, 60]], atol=0.5)
    warped, fixed = cv2.imread(str(out / "warped.png")), cv2.imread(str(images[0]))
    assert warped.shape == fixed.shape
    inner = np.s_[20:-20, 20:-20, 1]
    assert np.abs(warped[inner].astype(float) - fixed[inner]).mean() < 4
    as_json = json.loads(cli("register", *images, "-m", "sift", "-o", out, "--force", "--json").out)
    assert as_json["outcome"] == "ok"
    assert len(as_json["files"]) == 4


def test_register_without_a_result_writes_nothing(
    cli: Cli, images: tuple[Path, Path], tmp_path: Path
) -> None:
    blank = tmp_path / "blank.png"
    write_image(blank, np.full((64, 64), 80, np.uint8))
    out = tmp_path / "aligned"
    ended = cli("register", images[0], blank, "--method", "sift", "--out", out)
    assert ended.code == 1
    assert ended.err == "sift: no usable transform: fewer than 2 keypoints in an image\n"
    assert ended.out == ""
    assert not out.exists()


def test_register_refuses_bad_input_in_one_line(
    cli: Cli, images: tuple[Path, Path], tmp_path: Path, troublesome: Path
) -> None:
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    fixed, moving = images
    for arguments, message in (
        ((fixed, tmp_path / "gone.png"), "gone.png: no such file"),
        ((text, moving), "notes.png: not a picture"),
        ((fixed, moving, "--method", "sifft"), "did you mean sift"),
        ((fixed, moving, "--method", "identity", "--out", text), "notes.png: cannot be made"),
        ((fixed, moving, "--method", "unready", "--plugin", troublesome), "weights are missing"),
    ):
        ended = cli("register", *arguments)
        assert ended.code == 2
        assert ended.err.startswith("error: ")
        assert message in ended.err
        assert ended.err.count("\n") == 1


def test_what_a_method_prints_stays_out_of_json(
    cli: Cli, images: tuple[Path, Path], tmp_path: Path, troublesome: Path
) -> None:
    ended = cli(
        *("register", *images, "--method", "troublesome", "--plugin", troublesome, "--json"),
        *("--fixed-modality", "talk", "--out", tmp_path / "aligned"),
    )
    assert json.loads(ended.out)["outcome"] == "ok"
    assert "a method that prints" in ended.err


def test_an_empty_run_folder_is_no_traceback(cli: Cli, folder: Path, finished: Path) -> None:
    """As it is left when a run is killed before its first row."""
    empty = folder / "empty"
    empty.mkdir()
    (empty / "run.json").write_bytes((finished / "run.json").read_bytes())
    Store(empty, create=True).close()
    assert "Traceback" not in cli("score", empty, *FAST).err


def test_the_shell_completes_commands() -> None:
    typed = {"COMP_WORDS": "imedbench sh", "COMP_CWORD": "1"}
    program = "import sys; sys.argv = ['imedbench']; from imedbench.__main__ import main; main()"
    environment = {**os.environ, **typed, "_IMEDBENCH_COMPLETE": "complete_bash"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["show"]
