"""Two steps of every training, with the settings that ship: `make train-smoke`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("lightning")

from imedbench.datasets.synthetic.rendered_eyes import render_eyes
from imedbench.methods import weights
from imedbench.methods.training import FOLDER, TASKS, run

SETTINGS = sorted(path.stem for path in FOLDER.glob("*.toml"))
FEW = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 2, "accelerator": "cpu", "threads": 1}
LESS = {  # of what takes long and changes nothing about the steps
    "affine_epochs": 0,
    "validation_pairs": 2,
    "groups": [1],
    "views": 2,
    "hold_out": 2,
    "views_folder": "",
}
STARTS = {
    "cyclegan-finish": "cf_to_octa",
    "joint-finish": "joint",
    "joint-judge": "joint",
    "superglue-finish": "superglue-128x5-retina",
}
GLUE = ("superglue", "superglue-finish")
EYES = ("joint", "joint-finish", "joint-judge", *GLUE)  # begin with rendered eyes

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def drawn_folder(root: Path, *, dark: bool) -> Path:
    """Two images of curved lines on noise with their masks, 128×128."""
    for kind in ("images", "vessels"):
        (root / kind / "train").mkdir(parents=True)
    for seed in range(2):
        rng = np.random.default_rng([seed, dark])
        mask = np.zeros((128, 128), np.uint8)
        for _ in range(8):
            line = np.cumsum(rng.normal(0, 18, (6, 2)), axis=0) + rng.uniform(10, 118, 2)
            cv2.polylines(mask, [line.astype(np.int32)], False, 255, 2)
        grey = 110 + (-0.3 if dark else 0.3) * mask + rng.normal(0, 4, mask.shape)
        cv2.imwrite(str(root / "images" / "train" / f"{seed}.png"), grey.clip(0, 255))
        cv2.imwrite(str(root / "vessels" / "train" / f"{seed}.png"), mask)
    return root


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """Rendered eyes, and two folders of OCTA with two of colour fundus."""
    root = tmp_path_factory.mktemp("data")
    render_eyes(root / "eyes", range(2))
    images = [drawn_folder(root / str(i), dark=i > 1) for i in range(4)]
    return root / "eyes", images


def test_every_training_has_settings_that_ship() -> None:
    assert set(TASKS) <= set(SETTINGS)


@pytest.mark.parametrize("settings", SETTINGS)
def test_two_steps_leave_weights_with_a_card(
    settings: str, folders: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    shipped = tomllib.loads((FOLDER / f"{settings}.toml").read_text())
    changed = shipped | FEW | {name: LESS[name] for name in LESS if name in shipped}
    if settings in EYES:
        changed |= {"hold_out": 2, "validation_pairs": 2}
    if settings in STARTS:
        changed["start"] = str(weights.FOLDER / STARTS[settings])
    if settings in GLUE:
        changed |= {"views": 2, "size": 128, "keypoints": 32, "shown": 24}
    if "least_size" in changed:
        changed["least_size"] = 64
    config = tmp_path / "few.toml"
    config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in changed.items()))
    eyes, images = folders
    data = [eyes, *images[1:]] if settings in EYES else images
    if settings == "distillation":
        data = [*images[2:], eyes]
    task = settings.removesuffix("-finish")
    run(task, config, data, tmp_path / "out")
    made = weights.names(tmp_path / "out")
    assert made
    for name in made:
        assert weights.read_card(name, tmp_path / "out").steps == 2
        weights.load(name, tmp_path / "out")
