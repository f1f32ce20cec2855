"""The IMED folders, on a tree that is written here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from imedbench.core.datasets import open_dataset
from imedbench.core.errors import BadInput
from imedbench.core.images import write_image
from imedbench.core.transforms import Affine
from imedbench.datasets import imed
from imedbench.datasets.imed import Imed, ImedFiles
from imedbench.runs.check_data import check_dataset
from imedbench.runs.runner import NullProgress

CF_SHAPE, OCTA_SHAPE = (512, 640), (320, 320)  # heights and widths that differ from 256 and another


def picture(seed: int, shape: tuple[int, int]) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(32, 32)).astype(np.float32)
    smooth = cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def write_pair(root: Path, number: str, seed: int, subset: str, *, mirrored: bool = False) -> None:
    for folder, name, shape in (
        (f"CF_{subset}", f"{number}Fundus.png", CF_SHAPE),
        (f"OCTA_{subset}", f"{number}OCTA.png", OCTA_SHAPE),
    ):
        (root / folder).mkdir(exist_ok=True)
        image = picture(seed, shape)
        write_image(root / folder / name, image[:, ::-1] if mirrored else image)


def write_text(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two training pairs of two eyes; four test pairs, the first two of them one eye."""
    monkeypatch.setenv("IMEDBENCH_CACHE", str(tmp_path / "cache"))
    write_pair(tmp_path, "000", 0, "train")
    write_pair(tmp_path, "001", 1, "train")
    write_pair(tmp_path, "112", 2, "ts")
    write_pair(tmp_path, "113", 2, "ts", mirrored=True)
    write_pair(tmp_path, "114", 3, "ts")
    write_pair(tmp_path, "115", 4, "ts")
    write_text(tmp_path, "GT_OCTA_to_CF/112_OCTA_to_CF_affine.txt", "1 0 5\n0 1 -3\n0 0 1\n")
    write_text(tmp_path, "GT_CF_to_OCTA/113_CF_to_OCTA_affine.txt", "1, 0, -5\n0, 1, 3\n")
    write_text(tmp_path, "Ground_Truth_Ts/114Fundus_OCTA_points.txt", "10 20 30 40\n50 60 70 80\n")
    return tmp_path


def test_pairs_are_found_in_order_with_their_subsets(root: Path) -> None:
    dataset = open_dataset(str(root))
    assert isinstance(dataset, Imed)
    refs = dataset.refs("multi-modal")
    assert [(r.pair_id, r.subset) for r in refs] == [
        ("000", "train"),
        ("001", "train"),
        ("112", "test"),
        ("113", "test"),
        ("114", "test"),
        ("115", "test"),
    ]
    assert {(r.fixed_modality, r.moving_modality) for r in refs} == {("cf", "octa")}
    pair = dataset.load(refs[2])
    assert (pair.fixed.shape, pair.moving.shape) == (CF_SHAPE, OCTA_SHAPE)


def test_only_mirrored_neighbours_share_an_eye(root: Path) -> None:
    groups = {r.pair_id: r.group for r in Imed(root=root).refs("multi-modal")}
    assert groups["112"] == groups["113"]
    assert len(set(groups.values())) == 5


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirror_is_seen_along_both_axes(axis: int, root: Path) -> None:
    image = picture(3, OCTA_SHAPE)
    write_image(root / "OCTA_ts" / "115OCTA.png", np.flip(image, axis))
    groups = Imed(root=root).groups
    assert groups["115"] == groups["114"] == "114"


def test_matrices_scale_with_both_images(root: Path) -> None:
    """At 256 px the OCTA point p lies at p + (5, -3) of the CF."""
    dataset = Imed(root=root)
    refs = {r.pair_id: r for r in dataset.refs("multi-modal")}
    for number in ("112", "113"):
        truth = dataset.load(refs[number]).truth
        assert truth.moving_points is not None
        assert truth.fixed_points is not None
        small_moving = truth.moving_points * 256 / np.array(OCTA_SHAPE[::-1])
        small_fixed = truth.fixed_points * 256 / np.array(CF_SHAPE[::-1])
        expected = Affine([[1, 0, 5], [0, 1, -3]]).apply(small_moving)
        np.testing.assert_allclose(small_fixed, expected, atol=1e-9)
        assert len(small_fixed) >= 6


def test_landmarks_are_cf_then_octa_and_scale(root: Path) -> None:
    dataset = Imed(root=root)
    (ref,) = (r for r in dataset.refs("multi-modal") if r.pair_id == "114")
    truth = dataset.load(ref).truth
    assert truth.fixed_points is not None
    assert truth.moving_points is not None
    assert truth.fixed_points.tolist() == [[10 * 2.5, 20 * 2], [50 * 2.5, 60 * 2]]
    assert truth.moving_points.tolist() == [[30 * 1.25, 40 * 1.25], [70 * 1.25, 80 * 1.25]]


def test_a_pair_without_annotation_has_none(root: Path) -> None:
    dataset = Imed(root=root)
    assert dataset.load(dataset.refs("multi-modal")[-1]).truth.moving_points is None


def test_fakes_make_the_single_modal_split(root: Path) -> None:
    (root / "fake_OCTA").mkdir()
    write_image(root / "fake_OCTA" / "114fake.png", picture(9, CF_SHAPE))
    dataset = Imed(root=root)
    refs = {ref.pair_id: ref for ref in dataset.refs("single-modal")}
    assert refs.keys() == {ref.pair_id for ref in dataset.refs("multi-modal")}
    brought, made = refs["114"], refs["112"]
    assert brought.note == ""
    np.testing.assert_array_equal(dataset.load(brought).fixed.pixels, picture(9, CF_SHAPE))
    assert "translated by cf_to_octa" in made.note
    assert dataset.load(made).fixed.shape == CF_SHAPE[:2]


def test_mirrors_are_looked_for_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[str, str]] = []

    def look(first: ImedFiles, second: ImedFiles) -> bool:
        looked.append((first.number, second.number))
        return is_mirror(first, second)

    is_mirror = imed._is_mirror
    monkeypatch.setattr(imed, "_is_mirror", look)
    first = Imed(root=root).groups
    assert looked == [("000", "001"), ("112", "113"), ("114", "115")]
    assert Imed(root=root).groups == first
    assert len(looked) == 3, "a finished run is resumed without reading an image"
    write_pair(root, "115", 3, "ts", mirrored=True)
    assert Imed(root=root).groups["115"] == "114"
    assert looked[3:] == [("114", "115")]
    (memory,) = (root / "cache" / "mirrors").iterdir()
    memory.write_text("[1")
    assert Imed(root=root).groups["115"] == "114"
    assert len(looked) == 7
    monkeypatch.setenv("IMEDBENCH_CACHE", str(memory))  # no folder: nothing can be kept
    assert Imed(root=root).groups["115"] == "114"


def test_checking_tells_of_mirrors(root: Path) -> None:
    result = check_dataset(Imed(root=root), {}, NullProgress())
    assert "mirror images of one eye, kept in one group: 112/113" in result.remarks
    assert result.rows()[0][:4] == ["multi-modal", "6", "5", "2 / 4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 five\n0 1 3\n", "line 1: not 3 numbers"),
        ("1 0\n0 1\n", "line 1: not 3 numbers"),
        ("1 0 5\n\n0 1\n", "line 3: not 3 numbers"),
        ("1 0 nan\n0 1 2\n", "line 1: not 3 numbers"),
        ("1 0 5\n", "at least two rows"),
        ("", "at least two rows"),
        ("\xff\x00\n", "line 1: not 3 numbers"),
    ],
)
def test_bad_annotations_are_named_with_their_line(text: str, message: str, root: Path) -> None:
    path = write_text(root, "GT_OCTA_to_CF/112_OCTA_to_CF_affine.txt", "")
    path.write_bytes(text.encode("latin-1"))
    dataset = Imed(root=root)
    with pytest.raises(BadInput, match=message) as caught:
        dataset.load(dataset.refs("multi-modal")[2])
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("gone", "there", "lacking"),
    [
        ("OCTA_ts/115OCTA.png", "115Fundus.png", "OCTA_ts"),
        ("CF_ts/115Fundus.png", "115OCTA.png", "CF_ts"),
    ],
)
def test_a_missing_partner_is_named(gone: str, there: str, lacking: str, root: Path) -> None:
    (root / gone).unlink()
    with pytest.raises(BadInput, match=f"{there}: its partner in {lacking} is missing"):
        Imed(root=root).refs("multi-modal")


def test_other_trees_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        Imed(root=tmp_path / "gone")
    (tmp_path / "CF_ts").mkdir()
    with pytest.raises(BadInput, match="in it"):
        Imed(root=tmp_path).refs("multi-modal")
    write_image(tmp_path / "CF_ts" / "aFundus.png", picture(0, (8, 8)))
    with pytest.raises(BadInput, match=r"expected a number before Fundus\.png"):
        Imed(root=tmp_path).refs("multi-modal")
