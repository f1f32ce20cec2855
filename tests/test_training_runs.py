"""Whole trainings on tiny drawn data: what they leave behind, and that resuming changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("lightning")

from imedbench.core.errors import BadInput
from imedbench.methods import weights
from imedbench.methods.networks.arbicon import Warp
from imedbench.methods.networks.correlation import cosine_correlation
from imedbench.methods.networks.cyclegan import Generator
from imedbench.methods.training import arbicon, cyclegan, joint_report, segmentation
from imedbench.methods.training.config import TrainingConfig, read_config
from imedbench.methods.training.image_pool import ImagePool
from imedbench.methods.training.loop import train
from imedbench.methods.training.modalities import read_modalities
from imedbench.methods.training.vessel_folders import VesselImage, read_folder
from imedbench.methods.training.warped_pairs import Retina

TINY: Mapping[str, Any] = {
    "epochs": 2,
    "steps_per_epoch": 2,
    "batch_size": 2,
    "accelerator": "cpu",
    "threads": 1,
}

SMALL_CYCLEGAN: Mapping[str, int] = {"width": 2, "blocks": 1}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def draw_eye(seed: int, *, dark: bool) -> tuple[np.ndarray, np.ndarray]:
    """Curved lines on noise and their mask, 96×96."""
    rng = np.random.default_rng(seed)
    vessels = np.zeros((96, 96), np.uint8)
    for _ in range(6):
        points = np.cumsum(rng.normal(0, 14, (6, 2)), axis=0) + rng.uniform(10, 86, 2)
        cv2.polylines(vessels, [points.astype(np.int32)], False, 255, 2)
    sign = -1 if dark else 1
    grey = 110 + sign * 0.3 * vessels + rng.normal(0, 4, vessels.shape)
    return np.clip(grey, 0, 255).astype(np.uint8), vessels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A folder of dark and a folder of bright images, four of each, with masks."""
    roots = []
    for dark in (True, False):
        root = tmp_path_factory.mktemp("fundus" if dark else "octa")
        for kind in ("images", "vessels"):
            (root / kind / "train").mkdir(parents=True)
        for seed in range(4):
            image, mask = draw_eye(seed, dark=dark)
            cv2.imwrite(str(root / "images" / "train" / f"{seed}.png"), image)
            cv2.imwrite(str(root / "vessels" / "train" / f"{seed}.png"), mask)
        roots.append(root)
    return roots


def small_segmentation(**changes: Any) -> segmentation.SegmentationConfig:
    return segmentation.SegmentationConfig(**{**TINY, "widths": (2, 4), "crop": 32, **changes})


def built(kind: type[segmentation.SegmentationTask]) -> Any:
    """How a task of this kind is built from folders."""
    return lambda config, data: kind(config, [read_folder(root, "train") for root in data])


def all_equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_folder_is_complete(data: list[Path], tmp_path: Path) -> None:
    config = small_segmentation()
    train(segmentation.build, config, data, tmp_path)
    assert read_config(segmentation.SegmentationConfig, tmp_path / "config.toml") == config
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()
    assert (tmp_path / "checkpoints" / "best.ckpt").is_file()
    pictures = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert pictures == ["epoch_0000.png", "epoch_0001.png"]
    log = (tmp_path / "log" / "start_0" / "metrics.csv").read_text()
    assert "val/score" in log
    card = weights.read_card("vessels", tmp_path)
    best = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=False)
    assert card.steps == 2 * (best["epoch"] + 1)
    assert card.task == "segmentation"
    assert card.trained_on == tuple(f"{root.name}/train" for root in data)
    assert weights.load("vessels", tmp_path)(torch.rand(1, 1, 20, 20)).shape == (1, 1, 20, 20)


class Interruption(Exception):
    pass


def test_a_resumed_training_equals_an_uninterrupted_one(data: list[Path], tmp_path: Path) -> None:
    """Interrupted after two of four epochs, of which the first may well have been the best."""
    whole = small_segmentation(epochs=4)
    train(segmentation.build, whole, data, tmp_path / "whole")

    class Interrupted(segmentation.SegmentationTask):
        def on_train_epoch_start(self) -> None:
            if self.current_epoch == 2:
                raise Interruption

    with pytest.raises(Interruption):
        train(built(Interrupted), whole, data, tmp_path / "parts")
    train(segmentation.build, whole, data, tmp_path / "parts", resume=True)
    states = [last_checkpoint(tmp_path / name) for name in ("whole", "parts")]
    assert states[0]["global_step"] == states[1]["global_step"] == 8
    assert all_equal(states[0]["state_dict"], states[1]["state_dict"])
    assert (tmp_path / "parts" / "log" / "start_1" / "metrics.csv").is_file()
    assert (tmp_path / "parts" / "log" / "start_0" / "metrics.csv").is_file()


def last_checkpoint(run: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=False)
    return state


def test_the_best_epoch_is_kept(data: list[Path], tmp_path: Path) -> None:
    class Worsening(segmentation.SegmentationTask):
        def on_validation_epoch_end(self) -> None:
            self.log("val/score", 1.0 - self.current_epoch)

    task = train(built(Worsening), small_segmentation(epochs=3), data, tmp_path)
    best = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=False)
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)
    assert (best["epoch"], last["epoch"]) == (0, 2)
    assert all_equal(task.state_dict(), best["state_dict"])


def test_early_stop_and_time_limit(data: list[Path], tmp_path: Path) -> None:
    class Flat(segmentation.SegmentationTask):
        def on_validation_epoch_end(self) -> None:
            self.log("val/score", 0.5)

    train(built(Flat), small_segmentation(epochs=9, patience=2), data, tmp_path / "flat")
    state = torch.load(tmp_path / "flat" / "checkpoints" / "last.ckpt", weights_only=False)
    assert state["epoch"] == 2
    train(segmentation.build, small_segmentation(epochs=9, minutes=1e-6), data, tmp_path / "short")
    state = torch.load(tmp_path / "short" / "checkpoints" / "last.ckpt", weights_only=False)
    assert state["epoch"] == 0


def test_a_run_is_neither_overwritten_nor_invented(data: list[Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing to resume"):
        train(segmentation.build, small_segmentation(), data, tmp_path, resume=True)
    train(segmentation.build, small_segmentation(epochs=1), data, tmp_path)
    with pytest.raises(BadInput, match="holds a training already"):
        train(segmentation.build, small_segmentation(), data, tmp_path)


def test_segmentation_learns(data: list[Path], tmp_path: Path) -> None:
    config = small_segmentation(
        widths=(4, 8),
        epochs=3,
        steps_per_epoch=40,
        batch_size=4,
        learning_rate=1e-2,
        clean=1.0,
        zoom_min=0.15,
        zoom_max=0.25,
    )
    train(segmentation.build, config, data, tmp_path)
    assert weights.read_card("vessels", tmp_path).figures["validation_score"] > 0.6


def test_cyclegan_tells_modalities_by_polarity(data: list[Path], tmp_path: Path) -> None:
    cf, octa = read_modalities(data, (1.0,))
    assert [len(source.images) for source in (*cf, *octa)] == [4, 4]
    assert cf[0].images[0].name == "0"
    with pytest.raises(BadInput, match="only one modality"):
        read_modalities(data[:1], (1.0,))
    with pytest.raises(BadInput, match="zooms"):
        read_modalities(data, (1.0, 2.0, 3.0))


def test_cyclegan_resumes_with_its_pools(data: list[Path], tmp_path: Path) -> None:
    """The second part of its training: from weights, vessels counting, no identity loss."""
    card = weights.Card(architecture="cyclegan:Generator", arguments=SMALL_CYCLEGAN, task="drawn")
    weights.save(Generator(**SMALL_CYCLEGAN), card, tmp_path / "first.safetensors")
    config = cyclegan.CycleGANConfig(
        **{**TINY, "epochs": 3}, **SMALL_CYCLEGAN, judge_width=2, crop=32, pool=3,
        start=str(tmp_path / "first"), vessels=8.0, identity=0.0,
    )  # fmt: skip
    task = train(cyclegan.build, config, data, tmp_path / "whole")
    assert set(weights.names(tmp_path / "whole")) == {"cf_to_octa", "octa_to_cf"}
    states = [last_checkpoint(tmp_path / "whole")]
    assert all_equal(task.state_dict(), states[0]["state_dict"])

    class Interrupted(cyclegan.CycleGANTask):
        def on_train_epoch_start(self) -> None:
            if self.current_epoch == 2:
                raise Interruption

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cyclegan, "CycleGANTask", Interrupted)
        with pytest.raises(Interruption):
            train(cyclegan.build, config, data, tmp_path / "parts")
    train(cyclegan.build, config, data, tmp_path / "parts", resume=True)
    states.append(last_checkpoint(tmp_path / "parts"))
    assert all_equal(states[0]["state_dict"], states[1]["state_dict"])


@pytest.mark.parametrize("keeps_best", [True, False])
def test_a_card_tells_the_score_of_the_epoch_whose_weights_it_describes(
    keeps_best: bool, data: list[Path], tmp_path: Path
) -> None:
    class Worsening(segmentation.SegmentationTask):
        def on_validation_epoch_end(self) -> None:
            self.log("val/score", 0.9 - 0.2 * self.current_epoch)

    Worsening.keeps_best = keeps_best
    train(built(Worsening), small_segmentation(epochs=1), data, tmp_path)
    train(built(Worsening), small_segmentation(epochs=3), data, tmp_path, resume=True)
    card = weights.read_card("vessels", tmp_path)
    assert (card.steps, card.figures["validation_score"]) == ((2, 0.9) if keeps_best else (6, 0.5))


def test_a_folder_of_one_image_is_refused(data: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "single"
    for kind in ("images", "vessels"):
        (root / kind / "train").mkdir(parents=True)
        (root / kind / "train" / "0.png").write_bytes(
            (data[0] / kind / "train" / "0.png").read_bytes()
        )
    with pytest.raises(BadInput, match="1 image for training, and one has to be held out"):
        train(segmentation.build, small_segmentation(), [root], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_image_pool_keeps_its_size_and_returns_old_images() -> None:
    pool = ImagePool(3, np.random.default_rng(0))
    seen = [pool.swap(torch.full((1, 1, 1, 1), float(index))).item() for index in range(60)]
    assert seen[:3] == [0.0, 1.0, 2.0]
    late = [value for index, value in enumerate(seen[3:], 3) if value != index]
    assert 15 < len(late) < 42  # about half come from the pool
    assert len(set(late)) == len(late)  # a kept image leaves the pool with its use


def test_rates_of_cyclegan_fall_over_the_second_half(data: list[Path]) -> None:
    cf, octa = read_modalities(data, (1.0,))
    config = cyclegan.CycleGANConfig(epochs=10, width=2, blocks=1, judge_width=2, crop=32)
    _, schedules = cyclegan.CycleGANTask(config, cf, octa).configure_optimizers()
    factors = [schedules[0].lr_lambdas[0](epoch) for epoch in range(10)]
    assert factors[:6] == [1.0] * 6
    np.testing.assert_allclose(factors[6:], [0.8, 0.6, 0.4, 0.2])


@pytest.mark.parametrize(
    ("kind", "readout"),
    [("arbicon", "flat"), ("joint-report", "flat"), ("joint-report", "offsets")],
)
def test_registration_trainings_run(
    kind: str, readout: str, data: list[Path], tmp_path: Path
) -> None:
    sizes: dict[str, Any] = {"widths": (2, 4), "grid": 11, "descriptor": 4, "consensus": (2,)}
    config: TrainingConfig
    if kind == "arbicon":
        config = arbicon.ArbiconConfig(
            **TINY, **sizes, affine_epochs=1, weak=0.1, validation_pairs=2
        )
        train(arbicon.build, config, data, tmp_path)
    else:
        config = joint_report.ReportConfig(
            **TINY,
            **sizes,
            readout=readout,
            transformer_weights="",
            segmentation_weights="",
            validation_pairs=2,
        )
        train(joint_report.build, config, data, tmp_path)
    net = weights.load(kind, tmp_path)
    output = net(torch.rand(1, 1, 22, 22), torch.rand(1, 1, 22, 22))
    warp = output if kind == "arbicon" else output.warp
    assert torch.isfinite(warp.source_from_target(torch.zeros(1, 3, 2))).all()


@pytest.mark.parametrize("readout", ["flat", "offsets"])
def test_the_joint_network_starts_from_the_shipped_parts(readout: str) -> None:
    size = weights.read_card("arbicon").arguments
    config = joint_report.ReportConfig(
        grid=size["grid"],
        descriptor=size["descriptor"],
        consensus=tuple(size["consensus"]),
        readout=readout,
        registration_weights="arbicon",
    )
    state = joint_report.ReportTask(config, [[eye_of_lines(), eye_of_lines()]]).net.state_dict()
    arbicon_state, vessels = (weights.load(name).state_dict() for name in ("arbicon", "vessels"))
    for ours, theirs in {
        "head.consensus.layers.0.weight": arbicon_state["head.consensus.layers.0.weight"],
        "unet.down.0.conv1.weight": arbicon_state["encoder.down.0.conv1.weight"],
        "unet.up.0.conv1.weight": vessels["up.0.conv1.weight"],
    }.items():
        assert torch.equal(state[ours], theirs)
    same = "head.affine.layers.0.weight"
    if readout == "flat":
        assert torch.equal(state[same], arbicon_state[same])
    else:
        assert same not in state


def test_an_unknown_readout_is_refused() -> None:
    with pytest.raises(BadInput, match="readout must be one of flat, offsets"):
        joint_report.ReportTask(joint_report.ReportConfig(readout="offset"), [])


def eye_of_lines() -> Retina:
    image, vessels = draw_eye(0, dark=False)
    plane = (image / 255).astype(np.float32)
    return Retina.seen_once(VesselImage("drawn", plane, np.ones_like(vessels, bool), vessels > 0))


@pytest.mark.parametrize("kind", ["arbicon", "joint"])
def test_every_loss_counts_in_the_total_by_its_weight(kind: str, data: list[Path]) -> None:
    sizes: dict[str, Any] = {"widths": (2, 4), "grid": 11, "descriptor": 4, "consensus": (2,)}
    folders = [[Retina.seen_once(image) for image in read_folder(data[0], "train")]]
    alone = {"transformer_weights": "", "segmentation_weights": ""}

    def total(**factors: float) -> float:
        torch.manual_seed(0)
        task: Any
        if kind == "arbicon":
            task = arbicon.ArbiconTask(arbicon.ArbiconConfig(**sizes, **factors), folders)
        else:
            task = joint_report.ReportTask(
                joint_report.ReportConfig(**sizes, **alone, **factors), folders
            )
        task.log_values = lambda prefix, values, count: logged.update(values)
        sample = {name: value[None] for name, value in task.draw(np.random.default_rng(1)).items()}
        torch.manual_seed(1)
        return float(task.eval().training_step(sample, 0))

    logged: dict[str, Tensor] = {}
    none = total(supervised=0.0, matching=0.0)
    parts = {name: float(value) for name, value in logged.items()}
    assert total(supervised=0.0, matching=2.0) - none == pytest.approx(
        2 * parts["matching"], rel=1e-4
    )
    assert total(supervised=3.0, matching=0.0) - none == pytest.approx(
        3 * (parts["affine"] + parts["grid"]), rel=1e-4
    )
    if kind == "joint":
        report = ("dice", "cross_entropy", "reverse_hinge", "chamfer")
        assert none == pytest.approx(sum(parts[name] for name in report), rel=1e-5)


def test_the_inlier_score_is_highest_for_the_true_warp() -> None:
    """Features that shift by one cell of four: target cell i shows what source cell i + 1 does."""
    features = torch.eye(16).reshape(1, 16, 4, 4)
    shifted = torch.roll(features, -1, dims=3)
    correlation = cosine_correlation(features, shifted)

    def score(shift: float) -> float:
        warp = Warp(
            affine=torch.tensor([[[1.0, 0.0, shift], [0.0, 1.0, 0.0]]]),
            descriptor=torch.zeros(1, 1),
            predictor=lambda descriptor, points: torch.zeros_like(points),
            correlation=correlation,
        )
        return arbicon.inlier_score(warp).item()

    scores = {shift: score(shift) for shift in (-0.5, 0.0, 0.5, 1.0)}
    assert max(scores, key=scores.__getitem__) == 0.5
    assert scores[0.5] > 2 * scores[-0.5]


def test_registration_losses_of_the_joint_network_are_least_at_the_truth(data: list[Path]) -> None:
    still = {"rotation": 0.0, "scale": 1.0, "shift": 0.0, "bend": 0.0}
    parts = {"transformer_weights": "", "segmentation_weights": ""}
    config = joint_report.ReportConfig(
        widths=(2, 4), grid=11, descriptor=4, consensus=(2,), **still, **parts
    )
    task = joint_report.ReportTask(
        config, [[Retina.seen_once(image) for image in read_folder(data[0], "train")]]
    ).eval()
    sample = {name: value[None] for name, value in task.draw(np.random.default_rng(1)).items()}
    output = task.net(sample["source"], sample["target"])

    def losses(shift: float) -> dict[str, float]:
        affine = torch.tensor([[[1.0, 0.0, shift], [0.0, 1.0, 0.0]]])
        exact = dataclasses.replace(
            output.warp,
            affine=affine,
            predictor=lambda descriptor, points: torch.zeros_like(points),
        )
        found = task.losses(dataclasses.replace(output, warp=exact), sample)
        return {name: loss.item() for name, loss in found.items()}

    at_truth, shifted = losses(0.0), losses(0.3)
    assert at_truth["grid"] == pytest.approx(0, abs=1e-9)
    assert shifted["grid"] == pytest.approx(0.3**2, rel=1e-4)
    assert at_truth["reverse_hinge"] == pytest.approx(0, abs=1e-4)
    assert shifted["reverse_hinge"] > 0.2
    assert shifted["chamfer"] > 1.2 * at_truth["chamfer"]
