"""The coarse-to-fine training: views and their truth, a tiny set learnt by heart, whole runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

pytest.importorskip("lightning")

from imedbench.core.errors import BadInput
from imedbench.datasets.synthetic.rendered_eyes import render_eyes
from imedbench.methods import weights
from imedbench.methods.networks.coarse_to_fine import SIZE
from imedbench.methods.training import joint, joint_judge
from imedbench.methods.training.aligned_eyes import (
    MODALITIES,
    AlignedEye,
    Motion,
    ViewPair,
    draw_views,
    read_aligned,
    read_eyes,
)
from imedbench.methods.training.config import read_config
from imedbench.methods.training.loop import train
from imedbench.methods.training.restyle_views import Chances, restyle

TINY: Mapping[str, Any] = {
    "epochs": 1,
    "steps_per_epoch": 2,
    "batch_size": 2,
    "accelerator": "cpu",
    "threads": 1,
    "transformer_weights": "",
    "validation_pairs": 2,
    "narrow_epochs": 0,
}
ALL = dict.fromkeys((field.name for field in dataclasses.fields(Chances)), 1.0)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rendered eyes."""
    root = tmp_path_factory.mktemp("eyes")
    render_eyes(root, range(3))
    return root


@pytest.fixture(scope="module")
def eyes(folder: Path) -> list[AlignedEye]:
    return read_aligned(folder, 1.0, "", "vessels")


def views(eye: AlignedEye, seed: int) -> ViewPair:
    motion = Motion(rotation=40, scale=1.5, shift=0.2, perspective=0.02, bend=0.03)
    return draw_views(eye, 128, motion, np.random.default_rng(seed))


def test_rendered_eyes_are_kept_and_made_once(folder: Path) -> None:
    before = [path.stat().st_mtime_ns for path in sorted(folder.iterdir())]
    render_eyes(folder, range(2))
    assert [path.stat().st_mtime_ns for path in sorted(folder.iterdir())] == before
    eyes = read_eyes(folder)
    assert len(eyes) == 3
    assert set(eyes[0]) == {*MODALITIES, "vessels"}
    vessels = eyes[0]["vessels"] > 127
    for name in MODALITIES:  # vessels are bright in all of them
        assert eyes[0][name][vessels].mean() > eyes[0][name][~vessels].mean() + 5


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no rendered eyes"):
        read_eyes(tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_the_truth_lays_the_vessels_of_two_views_on_one_another(
    eyes: list[AlignedEye], seed: int
) -> None:
    pair = views(eyes[seed % 3], seed)
    along = (np.arange(128) + 0.5) / 64 - 1
    points = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
    there = pair.moving_from_fixed(points)
    pixels = ((there + 1) * 64 - 0.5).astype(np.float32).reshape(128, 128, 2)
    warped = cv2.remap(pair.moving_vessels, pixels, None, cv2.INTER_LINEAR)
    seen = (np.abs(there) < 0.95).all(axis=1).reshape(128, 128)
    assert seen.mean() > 0.2
    agreement = np.corrcoef(warped[seen], pair.fixed_vessels[seen])[0, 1]
    assert agreement > 0.85


def test_flat_pairs_are_homographies(eyes: list[AlignedEye]) -> None:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64)
    inside = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    seen = set()
    for seed in range(12):
        pair = views(eyes[0], seed)
        there = pair.moving_from_fixed(corners)
        matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), there.astype(np.float32))
        predicted = cv2.perspectiveTransform(inside[None], matrix)[0]
        exact = np.allclose(predicted, pair.moving_from_fixed(inside), atol=1e-4)
        assert exact == pair.flat
        seen.add(pair.flat)
    assert seen == {False, True}


def test_restyling_stays_in_range_and_is_repeatable(eyes: list[AlignedEye]) -> None:
    pair = views(eyes[0], 0)
    shown = [
        restyle(pair.fixed, pair.moving, Chances(**ALL), np.random.default_rng(1)) for _ in range(2)
    ]
    np.testing.assert_array_equal(shown[0], shown[1])
    assert shown[0].dtype == np.float32
    assert np.abs(shown[0]).max() <= 0.5
    untouched = restyle(
        pair.fixed, pair.moving, Chances(**dict.fromkeys(ALL, 0.0)), np.random.default_rng(1)
    )
    np.testing.assert_allclose(untouched, pair.fixed - 0.5, atol=1e-6)


def test_the_network_learns_two_pairs_by_heart(eyes: list[AlignedEye]) -> None:
    torch.manual_seed(0)
    task = joint.JointTask(joint.JointConfig(hold_out=3, noise=0.0), [eyes])
    task.net.train()
    motion = task.config.motion(wide=False)
    samples = [task.sample(eyes, motion, np.random.default_rng(i)) for i in range(2)]
    batch = default_collate(samples)
    optimiser = torch.optim.AdamW(task.net.parameters(), lr=2e-3)
    errors = []
    for _ in range(16):
        losses = task.losses(batch)
        errors.append(float(losses["global_px"].detach()))
        optimiser.zero_grad()
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(task.net.parameters(), 1.0)
        optimiser.step()
    assert np.mean(errors[-5:]) < 0.3 * errors[0]


def test_trainings_run_and_go_on(folder: Path, tmp_path: Path) -> None:
    """Two steps of the network, two more after an interruption, two of its judges."""
    config = joint.JointConfig(**{**TINY, "epochs": 2, "minutes": 1e-6})
    train(joint.build, config, [folder], tmp_path / "net")
    stopped = torch.load(tmp_path / "net" / "checkpoints" / "last.ckpt", weights_only=False)
    assert stopped["global_step"] == 2
    going_on = dataclasses.replace(config, minutes=0.0)
    train(joint.build, going_on, [folder], tmp_path / "net", resume=True)
    ended = torch.load(tmp_path / "net" / "checkpoints" / "last.ckpt", weights_only=False)
    assert ended["global_step"] == 4
    net = weights.load("joint", tmp_path / "net")
    settings = joint_judge.JudgeConfig(**TINY, start=str(tmp_path / "net" / "joint"))
    train(joint_judge.build, settings, [folder], tmp_path / "judge")
    judged = weights.load("joint", tmp_path / "judge")
    changed = {
        name
        for name, value in judged.state_dict().items()
        if not torch.equal(value, net.state_dict()[name])
    }
    assert changed
    assert all("judge" in name for name in changed)


def test_the_shipped_settings_are_known() -> None:
    shipped = {
        "joint": joint.JointConfig,
        "joint-finish": joint.JointConfig,
        "joint-judge": joint_judge.JudgeConfig,
    }
    for name, kind in shipped.items():
        path = Path(joint.__file__).parent / f"{name}.toml"
        assert read_config(kind, path).epochs > 1


def test_what_does_not_fit_is_refused(folder: Path, eyes: list[AlignedEye]) -> None:
    with pytest.raises(BadInput, match="shares: 2 given for 1"):
        joint.JointTask(joint.JointConfig(shares=(0.5, 0.5)), [eyes])
    with pytest.raises(BadInput, match="zooms: 3 given for 1"):
        joint.read_folders(joint.JointConfig(zooms=(1.0, 1.0, 1.0)), [folder])
    with pytest.raises(BadInput, match="start: name the trained network"):
        joint_judge.JudgeTask(joint_judge.JudgeConfig(), [eyes])


def test_samples_are_what_the_network_takes(eyes: list[AlignedEye]) -> None:
    task = joint.JointTask(joint.JointConfig(hold_out=3), [eyes])
    sample = task.draw(np.random.default_rng(0))
    assert sample["fixed"].shape == sample["moving_vessels"].shape == (1, SIZE, SIZE)
    assert sample["true"].shape == (1024, 2)
