"""OCTA against fundus translated to OCTA, made on the fly: from files on disk to the table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from imedbench.core.images import read_image, write_image
from imedbench.datasets.imed import Imed

Cli = Callable[..., Any]
SIDE = 96  # px


def vessels(seed: int) -> np.ndarray:
    """Bright lines on a dark ground, float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    lines = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(8):
        places = rng.uniform(0, SIDE, (4, 2)).round().astype(np.int32)
        cv2.polylines(lines, [places], False, 1.0, 2, cv2.LINE_AA)
    return cv2.GaussianBlur(lines, (0, 0), 0.8)


@pytest.fixture
def imed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two test eyes in the layout of the collection, a matrix each, no translations."""
    monkeypatch.setenv("IMEDBENCH_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "IMED"
    for folder in ("CF_ts", "OCTA_ts", "GT_OCTA_to_CF"):
        (root / folder).mkdir(parents=True)
    for number in (112, 120):
        lines = vessels(number)
        write_image(root / "CF_ts" / f"{number}Fundus.png", (170 - 90 * lines).astype(np.uint8))
        write_image(root / "OCTA_ts" / f"{number}OCTA.png", (40 + 180 * lines).astype(np.uint8))
        matrix = root / "GT_OCTA_to_CF" / f"{number}_OCTA_to_CF_affine.txt"
        matrix.write_text("1 0 0\n0 1 0\n0 0 1\n")
    return root


def test_one_command_runs_both_splits_of_the_imed_folders(imed: Path, cli: Cli) -> None:
    out = imed.parent / "run"
    asked = ("run", "--data", str(imed), "--methods", "identity,sift", "--out", str(out))
    ended = cli(*asked, "--metrics", "mse,tre_mean")
    assert ended.code == 0, ended.err
    assert "IMED, multi-modal" in ended.out or "imed, multi-modal" in ended.out
    assert "single-modal" in ended.out
    assert "translated to OCTA by cf_to_octa" in " ".join(ended.out.split())
    found = json.loads(cli(*asked, "--metrics", "mse,tre_mean", "--json").out)
    by_split = {(row["split"], row["method"]): row for row in found["summary"]}
    assert {split for split, _ in by_split} == {"multi-modal", "single-modal"}
    assert by_split["single-modal", "identity"]["n"] == 2
    page = cli("report", str(out))
    assert page.code == 0, page.err
    assert "translated to OCTA by cf_to_octa" in (out / "report.md").read_text()


def test_images_are_translated_once_and_brought_ones_win(imed: Path) -> None:
    dataset = Imed(root=imed)
    first, second = dataset.refs("single-modal")
    made = dataset.load(first).fixed
    kept = list((imed.parent / "cache").rglob("*.png"))
    assert len(kept) == 1
    write_image(kept[0], np.full((SIDE, SIDE), 7, np.uint8))
    assert (Imed(root=imed).load(first).fixed.pixels == 7).all(), "it was not kept"
    kept[0].write_bytes(b"torn")
    np.testing.assert_array_equal(Imed(root=imed).load(first).fixed.pixels, made.pixels)
    (imed / "fake_OCTA").mkdir()
    write_image(
        imed / "fake_OCTA" / f"{second.pair_id}fake.png", np.full((SIDE, SIDE), 9, np.uint8)
    )
    brought = Imed(root=imed)
    assert (brought.load(brought.refs("single-modal")[1]).fixed.pixels == 9).all()


def test_translations_are_written_as_files_that_are_read_again(imed: Path, cli: Cli) -> None:
    out = imed.parent / "files"
    ended = cli("data", "translate", str(imed), str(out))
    assert ended.code == 0, ended.err
    made = Imed(root=imed)
    expected = [made.load(ref).fixed.pixels for ref in made.refs("single-modal")]
    shutil.copytree(out / "fake_OCTA", imed / "fake_OCTA")
    again = Imed(root=imed)
    for ref, pixels in zip(again.refs("single-modal"), expected, strict=True):
        assert ref.note == "", "brought, not made"
        np.testing.assert_array_equal(again.load(ref).fixed.pixels, pixels)
    checked = cli("data", "check", str(out), "--json")
    assert checked.code == 0, checked.out
    assert [s["split"] for s in json.loads(checked.out)["splits"]] == [
        "multi-modal",
        "single-modal",
    ]


def test_other_weights_make_another_split_and_other_rows(imed: Path, cli: Cli) -> None:
    from imedbench.methods import weights

    own = imed.parent / "own.safetensors"
    shipped = Path(weights.__file__).parent / "cf_to_octa"
    shutil.copy(shipped.with_suffix(".safetensors"), own)
    card = json.loads(shipped.with_suffix(".json").read_text())
    own.with_suffix(".json").write_text(json.dumps(card))
    out = imed.parent / "run"
    asked = ("run", "--data", str(imed), "--methods", "identity", "--metrics", "mse")
    assert cli(*asked, "--out", str(out)).code == 0
    refused = cli(*asked, "--out", str(out), "--transfer-weights", str(own))
    assert refused.code == 2
    assert "--recompute" in refused.err
    ended = cli(*asked, "--out", str(imed.parent / "own"), "--transfer-weights", str(own))
    assert ended.code == 0, ended.err
    assert "own.safetensors" in ended.out
    missing = cli(*asked, "--out", str(imed.parent / "x"), "--transfer-weights", "no.safetensors")
    assert missing.code == 2
    assert "no.safetensors" in missing.err


def test_a_generator_that_saw_the_eye_taints_the_split(
    imed: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imedbench.core.perceptual import perceptual_hash
    from imedbench.methods import weights

    own = imed.parent / "own.safetensors"
    shipped = Path(weights.__file__).parent / "cf_to_octa"
    shutil.copy(shipped.with_suffix(".safetensors"), own)
    card = json.loads(shipped.with_suffix(".json").read_text())
    seen = perceptual_hash(read_image(imed / "CF_ts" / "112Fundus.png"))
    octa = perceptual_hash(read_image(imed / "OCTA_ts" / "112OCTA.png"))
    own.with_suffix(".json").write_text(json.dumps({**card, "training_images": [seen, octa]}))
    ended = cli(
        *("run", "--data", str(imed), "--methods", "identity", "--metrics", "mse"),
        *("--out", str(imed.parent / "run"), "--transfer-weights", str(own)),
    )
    assert ended.code == 0, ended.err
    assert "warning: single-modal: the fixed images of 1 eyes" in " ".join(ended.out.split())
