"""What comes from elsewhere is data: no file of a folder that is opened runs code."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imedbench.core.datasets import open_dataset
from imedbench.core.images import write_image
from imedbench.runs.config import RunConfig
from imedbench.runs.runner import run

Cli = Callable[..., Any]


class Harm:
    """Leaves a file where it is unpickled."""

    def __init__(self, where: Path) -> None:
        self.where = where

    def __reduce__(self) -> Any:
        return Path.touch, (self.where,)


@pytest.fixture
def folder(tmp_path: Path, write_manifest: Callable[..., Path]) -> Path:
    data = write_manifest(tmp_path / "data", ["cf"])
    run(
        RunConfig(str(data), ("identity",), tmp_path / "run", ("multi-modal",)),
        open_dataset(str(data)),
    )
    return tmp_path


def test_a_runs_plugins_are_not_loaded_unless_named(cli: Cli, folder: Path) -> None:
    harm = folder / "harm.py"
    harm.write_text(f"from pathlib import Path\nPath({str(folder / 'harmed')!r}).touch()\n")
    settings = json.loads((folder / "run" / "run.json").read_text())
    (folder / "run" / "run.json").write_text(json.dumps({**settings, "plugins": [str(harm)]}))
    run_folder = folder / "run"
    for words in (
        ("score", run_folder, "--metrics", "tre_mean"),
        ("report", run_folder),
        ("verify", run_folder),
        ("compare", run_folder, run_folder, "--metrics", "tre_mean"),
    ):
        assert cli(*words).code == 0
        assert not (folder / "harmed").exists(), words
    assert cli("score", run_folder, "--metrics", "tre_mean", "--plugin", harm).code == 0
    assert (folder / "harmed").exists()


@pytest.mark.parametrize("place", ["transforms", "diagnostics"])
def test_files_of_a_run_that_are_pickles_run_nothing(place: str, cli: Cli, folder: Path) -> None:
    harmed = folder / "harmed"
    kept = folder / "run" / place
    shutil.rmtree(kept, ignore_errors=True)
    content = pickle.dumps(Harm(harmed))
    import sqlite3

    with sqlite3.connect(folder / "run" / "results.sqlite") as db:
        (key,) = db.execute("SELECT key FROM predictions").fetchone()
        db.execute("UPDATE predictions SET transform = 'in a file'")
    kept.mkdir()
    if place == "transforms":
        np.savez(kept / f"{key}.npz", outline=np.array([Harm(harmed)], object))
    else:
        (kept / key).mkdir()
        (kept / key / "matches.npz").write_bytes(content)
        (kept / key / "fixed.png").write_bytes(content)
    for command in ("score", "report"):
        assert cli(command, folder / "run").code in (0, 2, 3)
        assert not harmed.exists()


def test_a_checkpoint_that_holds_code_is_refused(cli: Cli, folder: Path) -> None:
    pytest.importorskip("lightning")
    for subset in ("train", "test"):
        for name in ("images", "vessels"):
            place = folder / "set" / name / subset
            place.mkdir(parents=True)
            rng = np.random.default_rng(0)
            pixels = rng.integers(0, 255, (64, 64)).astype(np.uint8)
            write_image(place / "1.png", pixels if name == "images" else pixels > 200)
            write_image(place / "2.png", pixels if name == "images" else pixels > 200)
    checkpoints = folder / "training" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save({"state_dict": Harm(folder / "harmed")}, checkpoints / "last.ckpt")
    (folder / "c.toml").write_text("epochs = 1\nsteps_per_epoch = 1\nbatch_size = 1\n")
    ended = cli(
        *("train", "segmentation", "--data", folder / "set", "--out", folder / "training"),
        *("--resume", "--config", folder / "c.toml"),
    )
    assert not (folder / "harmed").exists()
    assert ended.code == 2, ended.err
    assert "last.ckpt: not a checkpoint" in ended.err


def test_register_overwrites_neither_its_input_nor_what_a_link_points_to(
    cli: Cli, folder: Path
) -> None:
    out = folder / "out"
    out.mkdir()
    image = Path(shutil.copy(folder / "data" / "0-fixed.png", out / "warped.png"))
    before = image.read_bytes()
    moving = folder / "data" / "0-moving.png"
    ended = cli("register", image, moving, "--method", "identity", "--out", out)
    assert ended.code == 2
    assert "warped.png" in ended.err
    assert image.read_bytes() == before
    image.unlink()
    image.symlink_to(moving)
    fixed = folder / "data" / "0-fixed.png"
    kept = moving.read_bytes()
    linked = cli("register", fixed, fixed, "--method", "identity", "--out", out)
    assert linked.code == 2
    assert "warped.png" in linked.err
    assert moving.read_bytes() == kept
