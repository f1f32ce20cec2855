"""From files on disk through the command line to what is printed and stored."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from imedbench.analysis.run import open_run
from imedbench.core.datasets import open_dataset
from imedbench.core.images import write_image
from imedbench.core.registry import METHODS
from imedbench.core.transforms import Affine, Homography, Transform
from imedbench.core.types import ImagePair, MethodInfo, Outcome
from imedbench.datasets.manifest import Manifest
from imedbench.runs.config import RunConfig
from imedbench.runs.packages import packages_of, with_package
from imedbench.runs.runner import run
from imedbench.runs.store import Prediction, Score, Store

Cli = Callable[..., Any]
WriteManifest = Callable[..., Path]
ONE_SPLIT = ("--split", "multi-modal")


def rows(folder: Path, **which: Any) -> dict[tuple[str, str], Prediction]:
    store = Store(folder)
    found = {(p.method, p.pair_id): p for p in store.predictions(**which)}
    store.close()
    return found


def scores(folder: Path, metric: str) -> dict[str, Score]:
    """The scores of one metric by pair."""
    store = Store(folder)
    names = {p.key: p.pair_id for p in store.predictions()}
    found = {names[s.prediction]: s for s in store.scores() if s.metric == metric}
    store.close()
    return found


# Each pair the other way round

WAYS = '''
"""Methods that answer the two directions of a pair as they please."""
from imedbench.core.methods import register_method
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, MethodInfo, Registration

@register_method(MethodInfo("forth-and-back", "misses its own way back", "shift"))
def forth_and_back(fixed: Image, moving: Image, *, miss: float = 0.0, lost: bool = False
                   ) -> Registration:
    if fixed.modality == "octa":  # the other way round
        if lost:
            return Registration.failed("lost the way")
        return Registration(Affine([[1, 0, -2 + miss], [0, 1, 0]]))
    return Registration(Affine([[1, 0, 2], [0, 1, 0]]))
'''


def test_inverse_consistency_asks_the_method_for_the_way_back(
    cli: Cli, tmp_path: Path, write_manifest: WriteManifest
) -> None:
    plugin = tmp_path / "ways.py"
    plugin.write_text(WAYS)
    data, out = write_manifest(tmp_path / "data", ["cf"]), tmp_path / "run"
    command = (
        *("run", "--data", data, "--out", out, "--plugin", plugin, *ONE_SPLIT),
        *("--metrics", "inverse_consistency,tre_mean", "--methods"),
    )
    specs = "forth-and-back,forth-and-back:miss=3,forth-and-back:lost=on"
    assert cli(*command, specs).code == 0
    assert rows(out, swapped=True) == {}, "a second call is made only when it is asked for"
    score = scores(out, "inverse_consistency")["p0"]
    assert score.value is None
    assert "run with --swapped" in score.reason
    before = rows(out)
    asked = cli(*command, specs, "--swapped")
    assert asked.code == 0, asked.err
    assert {k: r.latency_ms for k, r in rows(out).items()} == {
        k: r.latency_ms for k, r in before.items()
    }, "the usual way is not computed again"
    store = Store(out)
    found = {
        p.method: s
        for p in store.predictions()
        for s in store.scores()
        if (s.prediction, s.metric) == (p.key, "inverse_consistency")
    }
    store.close()
    assert found["forth-and-back"].value == pytest.approx(0)
    assert found["forth-and-back:miss=3"].value == pytest.approx(3)
    assert found["forth-and-back:lost=on"].value is None
    assert found["forth-and-back:lost=on"].reason == (
        "the other way round: no_transform, lost the way"
    )


# A pair that cannot be read


def test_one_unreadable_image_is_that_pairs_row(
    tmp_path: Path, write_manifest: WriteManifest
) -> None:
    data, out = write_manifest(tmp_path / "data", ["cf"] * 3), tmp_path / "run"
    image = data.parent / "1-moving.png"
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    command = [
        *(sys.executable, "-m", "imedbench", "run", "--data", str(data), "--out", str(out)),
        *("--methods", "identity,sift", "--metrics", "tre_mean", *ONE_SPLIT),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 3, ended.stderr
    assert "libpng" not in ended.stderr
    assert "1-moving.png" in ended.stderr, "it is named"
    found = rows(out)
    assert len(found) == 6
    for (_, pair), row in found.items():
        assert (row.outcome is Outcome.UNREADABLE) == (pair == "p1")
    assert "1-moving.png: " in found["sift", "p1"].reason
    image.write_bytes(whole)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert rows(out)["sift", "p1"].outcome.is_answer


# Metrics that fail

BAD_METRICS = '''
"""Metrics that do what no metric should."""
from imedbench.core.metrics import MetricInfo, register_metric

@register_metric(MetricInfo("boom", "raises on one pair"))
def boom(case):
    if case.views.pair.pair_id == "p1":
        raise RuntimeError("no figure here")
    return 1.0

@register_metric(MetricInfo("endless", "is infinite"))
def endless(case):
    return float("inf")

@register_metric(MetricInfo("wordy", "is text"))
def wordy(case):
    return "good"

@register_metric(MetricInfo("silent", "is nothing"))
def silent(case):
    return None
'''


def test_a_metric_that_fails_is_a_missing_score_with_a_reason(
    cli: Cli, tmp_path: Path, write_manifest: WriteManifest, short_lived_plugins: None
) -> None:
    plugin = tmp_path / "bad_metrics.py"
    plugin.write_text(BAD_METRICS)
    data, out = write_manifest(tmp_path / "data", ["cf", "cf"]), tmp_path / "run"
    names = "boom,endless,wordy,silent,tre_mean"
    ended = cli(
        *("run", "--data", data, "--out", out, "--methods", "identity", "--plugin", plugin),
        *("--metrics", names, *ONE_SPLIT),
    )
    assert ended.code == 0, ended.err
    boom = scores(out, "boom")
    assert (boom["p0"].value, boom["p0"].reason) == (1, "")
    assert boom["p1"].value is None
    assert "boom raised RuntimeError: no figure here at bad_metrics.py:" in boom["p1"].reason
    assert scores(out, "endless")["p0"].reason == "infinite"
    assert scores(out, "wordy")["p0"].reason == "wordy returned 'good', which is no number"
    assert scores(out, "silent")["p0"].reason == "silent returned 'None', which is no number"
    assert scores(out, "tre_mean")["p1"].value == pytest.approx(2), "others are scored"


def test_scoring_waits_for_no_other_writer(
    cli: Cli, tmp_path: Path, write_manifest: WriteManifest
) -> None:
    data, out = write_manifest(tmp_path / "data", ["cf"]), tmp_path / "run"
    run(RunConfig(str(data), ("identity",), out, ("multi-modal",)), open_dataset(str(data)))
    store = Store(out)
    with store.only_writer():
        ended = cli("score", out, "--metrics", "tre_mean")
    store.close()
    assert ended.code == 2
    assert "another process writes" in ended.err


# Plugins that moved, and where methods come from


def test_a_run_is_read_without_the_plugin_that_made_it(
    cli: Cli, tmp_path: Path, write_manifest: WriteManifest, troublesome: Path
) -> None:
    data, out = write_manifest(tmp_path / "data", ["own-transform", "own-matrix"]), tmp_path / "run"
    plugin = Path(shutil.copy(troublesome, tmp_path / "moving.py"))
    script = [sys.executable, "-m", "imedbench"]
    made = subprocess.run(
        [
            *(*script, "run", "--data", data, "--out", out, "--methods", "troublesome"),
            *("--plugin", plugin, "--metrics", "tre_mean,mse", *ONE_SPLIT),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    plugin.unlink()
    for command in (("score", out, "--metrics", "dice"), ("report", out)):
        ended = subprocess.run([*script, *command], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    refused = subprocess.run([*script, "verify", out], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert f"--plugin {plugin}" in refused.stderr


def test_verify_takes_data_that_moved(
    cli: Cli, tmp_path: Path, write_manifest: WriteManifest
) -> None:
    data, out = write_manifest(tmp_path / "data", ["cf"]), tmp_path / "run"
    run(RunConfig(str(data), ("identity",), out, ("multi-modal",)), open_dataset(str(data)))
    moved = data.parent.rename(tmp_path / "elsewhere")
    assert cli("verify", out).code == 2
    ended = cli("verify", out, "--data", moved)
    assert ended.code == 0, ended.err


def test_methods_name_their_package_and_licence(cli: Cli, troublesome: Path) -> None:
    factory = METHODS.factory("sift")
    info = with_package(METHODS.create("sift").info, factory)
    assert info.code_licence == "Apache-2.0"
    assert info.package.startswith("imedbench ")
    assert "opencv-contrib-python" in packages_of(factory)
    stranger = METHODS.factory("troublesome")
    unknown = with_package(METHODS.create("troublesome").info, stranger)
    assert (unknown.code_licence, unknown.package) == ("unknown", "troublesome.py")
    assert MethodInfo("m", "s", "f").code_licence == "unknown"
    assert json.loads(cli("info", "identity", "--json").out)["code_licence"] == "Apache-2.0"
    assert "numpy" in packages_of(stranger)


def test_provenance_names_what_third_parties_import(
    cli: Cli, tmp_path: Path, write_manifest: WriteManifest, short_lived_plugins: None
) -> None:
    plugin = tmp_path / "third.py"
    plugin.write_text(
        "import jinja2\n"
        + WAYS.replace("forth-and-back", "third").replace("forth_and", "third_and")
    )
    data = write_manifest(tmp_path / "data", ["cf"])
    ended = cli(
        *("run", "--data", data, "--out", tmp_path / "run", "--methods", "third", "--json"),
        *("--plugin", plugin, "--metrics", "tre_mean", *ONE_SPLIT),
    )
    assert json.loads(ended.out)["provenance"]["versions"]["Jinja2"]


# Registering one pair


@pytest.fixture
def images(tmp_path: Path, write_manifest: WriteManifest) -> tuple[Path, Path]:
    data = write_manifest(tmp_path / "data", ["cf"])
    return data.parent / "0-fixed.png", data.parent / "0-moving.png"


@pytest.mark.parametrize(
    ("act", "code", "message"),
    [
        ("raise", 3, "troublesome: crash: KeyError"),
        ("exit", 3, "troublesome: crash: the process died (exit 7)"),
        ("hang", 1, "troublesome: no usable transform: no answer within 1 s"),
        ("broken-transform", 3, "its transform raised ZeroDivisionError"),
        ("sure", 0, ""),
    ],
)
def test_register_says_how_it_ended(
    act: str,
    code: int,
    message: str,
    cli: Cli,
    images: tuple[Path, Path],
    tmp_path: Path,
    troublesome: Path,
) -> None:
    ended = cli(
        *("register", *images, "--method", "troublesome", "--plugin", troublesome),
        *("--fixed-modality", act, "--timeout", 1, "--out", tmp_path / "aligned"),
    )
    assert ended.code == code, ended.err
    assert message in ended.err
    assert ("confidence 0.75" in ended.out) == (code == 0)


# What a folder holds


def test_recompute_leaves_no_old_files(
    cli: Cli, tmp_path: Path, write_manifest: WriteManifest, troublesome: Path
) -> None:
    data, out = write_manifest(tmp_path / "data", ["own-transform"]), tmp_path / "run"
    command = (
        *("run", "--data", data, "--out", out, "--methods", "troublesome,sift"),
        *("--plugin", troublesome, "--metrics", "tre_mean", *ONE_SPLIT),
    )

    def kept() -> dict[str, set[str]]:
        return {
            name: {file.stem if file.is_file() else file.name for file in (out / name).iterdir()}
            for name in ("transforms", "diagnostics")
        }

    assert cli(*command).code == 0
    before = kept()
    assert before["transforms"]
    assert before["diagnostics"]
    assert cli(*command, "--seed", 5, "--recompute").code == 0
    keys = {row.key for row in rows(out).values()}
    for name, files in kept().items():
        assert files <= keys, f"{name} holds files of rows that are gone"
        assert not files & before[name]


def test_a_method_on_more_splits_leaves_older_rows_complete(cli: Cli, tmp_path: Path) -> None:
    command = (
        *("run", "--data", "synthetic:pairs=1:size=64", "--out", tmp_path / "run"),
        *("--metrics", "tre_mean"),
    )
    assert cli(*command, "--methods", "identity", *ONE_SPLIT).code == 0
    more = cli(*command, "--methods", "sift")
    assert more.code == 0, more.err
    table = open_run(tmp_path / "run").table()
    assert list(zip(table["method"], table["split"], strict=True)) == [
        ("identity", "multi-modal"),
        ("sift", "multi-modal"),
        ("sift", "single-modal"),
    ]


def test_a_plugins_transform_does_not_become_its_parent() -> None:
    class Sheared(Affine):
        """Without a name of its own."""

    assert Transform.kinds["affine"] is Affine


# Reading no more than needed


def test_a_finished_run_is_resumed_without_reading_an_image(
    cli: Cli, tmp_path: Path, write_manifest: WriteManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_manifest(tmp_path / "data", ["cf", "cf"]), tmp_path / "run"
    read: list[str] = []
    load = Manifest.load

    def counted(self: Manifest, ref: Any) -> ImagePair:
        read.append(ref.pair_id)
        return load(self, ref)

    monkeypatch.setattr(Manifest, "load", counted)
    command = (
        *("run", "--data", data, "--out", out, "--methods", "identity,sift"),
        *("--metrics", "tre_mean,tre_mean_um,mse", *ONE_SPLIT),
    )
    assert cli(*command).code == 0
    assert read == ["p0", "p1"], "once for two methods and the scoring"
    read.clear()
    assert cli(*command).code == 0
    assert read == []
    picture = data.parent / "1-fixed.png"
    old = picture.stat()
    write_image(picture, np.full((64, 64), 9, np.uint8))
    os.utime(picture, ns=(old.st_atime_ns, old.st_mtime_ns))
    changed = cli(*command)
    assert changed.code == 2
    assert "was made with other code, weights or images" in changed.err


def test_a_touched_file_of_the_same_content_is_read_once_and_computed_never(
    cli: Cli, tmp_path: Path, write_manifest: WriteManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_manifest(tmp_path / "data", ["cf"]), tmp_path / "run"
    command = (
        *("run", "--data", data, "--out", out, "--methods", "identity"),
        *("--metrics", "tre_mean", *ONE_SPLIT),
    )
    assert cli(*command).code == 0
    before = rows(out)["identity", "p0"].latency_ms
    os.utime(data.parent / "0-fixed.png")
    assert cli(*command).code == 0
    monkeypatch.setattr(Manifest, "load", lambda *_: pytest.fail("read again"))
    assert cli(*command).code == 0
    assert rows(out)["identity", "p0"].latency_ms == before


# Sizes that differ


def test_a_native_photograph_and_a_small_scan_are_no_degenerate_scale(
    cli: Cli, tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    scene = cv2.GaussianBlur(rng.normal(size=(304, 304)).astype(np.float32), (0, 0), 3)
    scan = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    write_image(tmp_path / "scan.png", scan)
    write_image(tmp_path / "photograph.png", cv2.resize(scan, (3162, 3162)))
    plugin = tmp_path / "scale.py"
    plugin.write_text(
        WAYS.replace("forth-and-back", "enlarge").replace(
            "    if fixed",
            "    return Registration(Affine([[miss, 0, 0], [0, miss, 0]]))\n    if fixed",
        )
    )
    images = {"large": tmp_path / "photograph.png", "equal": tmp_path / "scan.png"}
    codes = {}
    for name, fixed in images.items():
        ended = cli(
            *("register", fixed, tmp_path / "scan.png", "--method", "enlarge:miss=10.4"),
            *("--plugin", plugin, "--out", tmp_path / name),
        )
        codes[name] = ended.code
    assert codes == {"large": 0, "equal": 1}
    assert "its scale is 10.4, for images of these sizes 0.2 to 5 can be" in ended.err


def test_a_homography_of_either_sign_is_the_same_map(cli: Cli, tmp_path: Path) -> None:
    from imedbench.runs.validity import check_transform, own_kind

    matrix = np.array([[1, 0.05, 3], [0, 1, -4], [1e-4, 2e-4, 1]])
    plus, minus = (own_kind(Homography(sign * matrix), (120, 160)) for sign in (1, -1))
    np.testing.assert_array_equal(plus.apply([[7, 9]]), minus.apply([[7, 9]]))
    assert check_transform(minus, (120, 160), (120, 160))[0] is Outcome.OK
