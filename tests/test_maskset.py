"""Collections with vessel masks, on folders written here in each collection's layout."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PilImage

from imedbench.core.datasets import Dataset
from imedbench.core.errors import BadInput
from imedbench.core.registry import DATASETS
from imedbench.datasets.chasedb1 import ChaseDb1
from imedbench.datasets.drive import Drive
from imedbench.datasets.maskset import MaskSet
from imedbench.datasets.octa500 import Octa500

SHAPE = (72, 96)


def _picture(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture with a bright cross, and the cross as its mask."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(60, 90, SHAPE, np.uint8)
    mask = np.zeros(SHAPE, np.uint8)
    cv2.line(mask, (10, 8), (80, 60), 255, 3)
    cv2.line(mask, (10, 60), (80, 10), 255, 3)
    pixels[mask > 0] = 200
    return pixels, mask


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PilImage.fromarray(pixels).save(path)


def _octa500(root: Path) -> None:
    for number in (10301, 10450, 10451, 10500):
        pixels, mask = _picture(number)
        _write(root / "OCTA_3mm" / "Projection Maps" / "OCTA(ILM_OPL)" / f"{number}.bmp", pixels)
        _write(root / "Label" / "GT_LargeVessel" / f"{number}.bmp", mask)


def _drive(root: Path) -> None:
    for folder, kind, number in (("training", "training", 21), ("test", "test", 1)):
        pixels, mask = _picture(number)
        colour = np.repeat(pixels[..., None], 3, 2)
        colour[..., 0] = 255
        _write(root / folder / "images" / f"{number:02d}_{kind}.tif", colour)
        _write(root / folder / "1st_manual" / f"{number:02d}_manual1.gif", mask)


def _chasedb1(root: Path) -> None:
    for name in ("01L", "01R", "14L"):
        pixels, mask = _picture(int(name[:2]))
        _write(root / f"Image_{name}.jpg", np.repeat(pixels[..., None], 3, 2))
        _write(root / f"Image_{name}_1stHO.png", mask)
        _write(root / f"Image_{name}_2ndHO.png", mask)


def _plain(root: Path) -> None:
    for subset, name in (("train", "a"), ("train", "b"), ("test", "c")):
        pixels, mask = _picture(ord(name))
        _write(root / "images" / subset / f"{name}.png", pixels)
        _write(root / "vessels" / subset / f"{name}.png", mask)


@pytest.mark.parametrize(
    ("make", "kind", "expected"),
    [
        (
            _octa500,
            Octa500,
            {"10301": "train", "10450": "train", "10451": "test", "10500": "test"},
        ),
        (_drive, Drive, {"21": "train", "01": "test"}),
        (_chasedb1, ChaseDb1, {"01L": "train", "01R": "train", "14L": "test"}),
    ],
)
def test_published_layout_is_recognised_and_read(
    tmp_path: Path, make, kind: type[MaskSet], expected: dict[str, str]
) -> None:
    make(tmp_path)
    assert kind.recognises(tmp_path)
    dataset = kind(root=tmp_path)
    assert {item.item_id: item.subset for item in dataset.items} == expected
    sample = dataset.read(dataset.items[0])
    assert sample.image.modality == dataset.modality
    assert sample.vessels.shape == SHAPE
    assert 0.02 < sample.vessels.mean() < 0.3


def test_eyes_of_one_child_are_one_group(tmp_path: Path) -> None:
    _chasedb1(tmp_path)
    groups = {item.item_id: item.group for item in ChaseDb1(root=tmp_path).items}
    assert groups["01L"] == groups["01R"] != groups["14L"]


@pytest.mark.parametrize("name", ["octa500", "drive", "chasedb1"])
def test_plain_layout_is_read_by_every_loader(tmp_path: Path, name: str) -> None:
    _plain(tmp_path)
    dataset = DATASETS.create(f"{name}:root={tmp_path}")
    assert isinstance(dataset, Dataset)
    assert [(i.item_id, i.subset) for i in dataset.items] == [
        ("a", "train"),
        ("b", "train"),
        ("c", "test"),
    ]


@pytest.mark.parametrize("split", ["single-modal", "multi-modal"])
@pytest.mark.parametrize("level", ["easy", "hard"])
def test_pairs_obey_their_truth(tmp_path: Path, split, level) -> None:
    _plain(tmp_path)
    dataset = Drive(root=tmp_path, level=level)
    ref = dataset.refs(split)[0]
    pair = dataset.load(ref)
    truth = pair.truth
    mapped = truth.fixed_from_moving.apply(truth.moving_points)
    np.testing.assert_allclose(mapped, truth.fixed_points, atol=1e-4)
    x, y = np.rint(truth.fixed_points).astype(int).T
    assert truth.fixed_vessels[y, x].all()
    inner = ((truth.moving_points > 2) & (truth.moving_points < np.array(SHAPE[::-1]) - 3)).all(1)
    near = cv2.dilate(truth.moving_vessels.astype(np.uint8), np.ones((3, 3)))
    x, y = np.rint(truth.moving_points[inner]).astype(int).T
    assert near[y, x].mean() > 0.95
    assert pair.moving.size == pair.fixed.size
    assert pair.moving.modality == ref.moving_modality


def test_multi_modal_copy_turns_its_vessels_dark(tmp_path: Path) -> None:
    _plain(tmp_path)
    dataset = Octa500(root=tmp_path, level="easy")
    for split, brighter in (("single-modal", True), ("multi-modal", False)):
        pair = dataset.load(dataset.refs(split)[0])
        level, vessels = pair.moving.pixels.astype(float), pair.truth.moving_vessels
        ground = level[20:50, 70:][~vessels[20:50, 70:]]  # away from the black beyond the edge
        assert (level[vessels].mean() > ground.mean()) == brighter


def test_same_seed_same_pair_and_another_seed_another(tmp_path: Path) -> None:
    _plain(tmp_path)
    pixels = [
        (d := Octa500(root=tmp_path, seed=seed)).load(d.refs("single-modal")[0]).moving.pixels
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(pixels[0], pixels[1])
    assert not np.array_equal(pixels[0], pixels[2])


def test_missing_folder_empty_folder_and_missing_mask_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        Octa500(root=tmp_path / "nowhere")
    with pytest.raises(BadInput, match="octa500 as published"):
        _ = Octa500(root=tmp_path).items
    _octa500(tmp_path)
    (tmp_path / "Label" / "GT_LargeVessel" / "10450.bmp").unlink()
    dataset = Octa500(root=tmp_path)
    ref = next(r for r in dataset.refs("multi-modal") if r.pair_id == "10450")
    with pytest.raises(BadInput, match=r"10450\.bmp: no such file"):
        dataset.load(ref)


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    _plain(tmp_path)
    _write(tmp_path / "vessels" / "train" / "a.png", np.zeros((10, 10), np.uint8))
    dataset = Drive(root=tmp_path)
    with pytest.raises(BadInput, match=r"a\.png: the mask is 10×10"):
        dataset.read(dataset.items[0])
