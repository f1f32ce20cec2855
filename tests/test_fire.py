"""FIRE and PF-PASCAL, on folders written here as those sets are published."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from imedbench.core.datasets import Dataset, MissingSplit
from imedbench.core.errors import BadInput
from imedbench.datasets.fire import Fire, read_control_points
from imedbench.datasets.pf_pascal import PfPascal

PAIRS = ("S01_1_2", "P02_1_2", "P37_1_2", "A03_1_2")


def _picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (30, 40, 3), np.uint8)
    PilImage.fromarray(pixels).save(path)


@pytest.fixture
def fire(tmp_path: Path) -> Path:
    truth = tmp_path / "Ground Truth"
    truth.mkdir()
    for n, name in enumerate(PAIRS):
        scene = name[:3]
        for image in (1, 2):
            _picture(tmp_path / "Images" / f"{scene}_{image}.jpg", 10 * n + image)
        rows = [f"{x:.3f} {x + 1:.3f} {x + 2:.3f} {x + 3:.3f}" for x in range(10)]
        (truth / f"control_points_{name}.txt").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_fire_keeps_its_contract_and_leaves_the_bad_pair_out(fire: Path) -> None:
    dataset = Fire(root=fire)
    assert Fire.recognises(fire)
    assert isinstance(dataset, Dataset)
    refs = dataset.refs("single-modal")
    assert [(r.pair_id, r.category) for r in refs] == [
        ("A03_1_2", "A"),
        ("P02_1_2", "P"),
        ("S01_1_2", "S"),
    ]
    assert {r.subset for r in refs} == {"test"}
    assert len(Fire(root=fire, include_bad=True).refs("single-modal")) == 4
    assert dataset.remarks()[0].startswith("categories: 1 S, 1 P, 1 A; P37_1_2 left out")


def test_fire_first_image_is_fixed(fire: Path) -> None:
    dataset = Fire(root=fire)
    pair = dataset.load(dataset.refs("single-modal")[2])
    np.testing.assert_allclose(pair.truth.fixed_points[0], [0, 1])
    np.testing.assert_allclose(pair.truth.moving_points[0], [2, 3])
    stored = np.asarray(PilImage.open(fire / "Images" / "S01_1.jpg"))
    assert np.abs(pair.fixed.pixels.astype(int) - stored).mean() < 3


def test_fire_has_no_multi_modal_split(fire: Path) -> None:
    with pytest.raises(MissingSplit, match="one modality"):
        Fire(root=fire).refs("multi-modal")


def test_fire_names_what_is_wrong(fire: Path, tmp_path: Path) -> None:
    (fire / "Images" / "S01_2.jpg").unlink()
    dataset = Fire(root=fire)
    pair = next(r for r in dataset.refs("single-modal") if r.pair_id.startswith("S01"))
    with pytest.raises(BadInput, match=r"S01_2\.jpg: no such file"):
        dataset.load(pair)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BadInput, match="control_points"):
        _ = Fire(root=empty).pairs
    with pytest.raises(BadInput, match="no such folder"):
        Fire(root=tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["1 2 3\n", "1 2 3 x\n", "", "1 2 3 nan\n"])
def test_wrong_control_points_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "control_points_S01_1_2.txt"
    path.write_text(text)
    with pytest.raises(BadInput, match="x1 y1 x2 y2"):
        read_control_points(path)


@pytest.fixture
def pascal(tmp_path: Path) -> Path:
    for n in (1, 2):
        _picture(tmp_path / "JPEGImages" / f"2008_00000{n}.jpg", n)
    _list(tmp_path, "11;21", "5;6", "12;22", "7;8")
    return tmp_path


def _list(root: Path, *columns: str) -> None:
    folder = "PF-dataset-PASCAL/JPEGImages"
    row = [f"{folder}/2008_000001.jpg", f"{folder}/2008_000002.jpg", "4", *columns]
    header = "source_image,target_image,class,XA,YA,XB,YB"
    (root / "test_pairs_pf_pascal.csv").write_text(f"{header}\n{','.join(row)}\n")


def test_pf_pascal_counts_from_zero_and_moves_the_source(pascal: Path) -> None:
    dataset = PfPascal(root=pascal)
    assert PfPascal.recognises(pascal)
    assert isinstance(dataset, Dataset)
    (ref,) = dataset.refs("single-modal")
    assert (ref.subset, ref.note) == ("test", "category 4")
    truth = dataset.load(ref).truth
    np.testing.assert_allclose(truth.moving_points, [[10, 4], [20, 5]])
    np.testing.assert_allclose(truth.fixed_points, [[11, 6], [21, 7]])
    with pytest.raises(MissingSplit):
        dataset.refs("multi-modal")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("11;21", "5;6", "12", "7"), "2 source but 1 target"),
        (("a;b", "5;6", "12;22", "7;8"), "numbers separated"),
        (("", "", "", ""), "no keypoints"),
    ],
)
def test_pf_pascal_names_file_and_line(
    pascal: Path, columns: tuple[str, ...], message: str
) -> None:
    _list(pascal, *columns)
    with pytest.raises(BadInput, match=rf"csv, line 2: .*{message}"):
        _ = PfPascal(root=pascal).pairs


def test_pf_pascal_misses_images_and_columns(pascal: Path) -> None:
    (pascal / "JPEGImages" / "2008_000002.jpg").unlink()
    dataset = PfPascal(root=pascal)
    with pytest.raises(BadInput, match=r"2008_000002\.jpg"):
        dataset.load(dataset.refs("single-modal")[0])
    (pascal / "test_pairs_pf_pascal.csv").write_text("source_image,target_image\n")
    with pytest.raises(BadInput, match="no column class, XA"):
        _ = PfPascal(root=pascal).pairs
