"""Pairs listed in a pairs.csv: what is read, and how a mistake is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imedbench.core.datasets import Dataset, MissingSplit, open_dataset
from imedbench.core.errors import BadInput
from imedbench.core.images import write_image
from imedbench.datasets.manifest import Manifest
from imedbench.runs.check_data import check_dataset
from imedbench.runs.runner import NullProgress

HEADER = "pair_id,fixed,moving"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that a manifest can name."""
    rng = np.random.default_rng(0)
    for name, shape in {
        "cf.png": (20, 30, 3),
        "octa.png": (24, 24),
        "fake.png": (20, 30),
        "small.png": (10, 15),
    }.items():
        write_image(tmp_path / name, rng.integers(0, 255, shape).astype(np.uint8))
    write_image(tmp_path / "vessels.png", rng.random((20, 30)) > 0.5)
    (tmp_path / "points.csv").write_text("moving_x,moving_y,fixed_x,fixed_y\n1,2,3,4\n5.5,6,7,8\n")
    return tmp_path


Write = Callable[..., Path]


@pytest.fixture
def write(folder: Path) -> Write:
    def write(*lines: str, name: str = "pairs.csv", encoding: str = "utf-8") -> Path:
        path = folder / name
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
        return path

    return write


def load_all(path: Path) -> None:
    dataset = Manifest(root=path)
    for ref in dataset.refs("multi-modal"):
        dataset.load(ref)
    if "fake_octa" in path.read_text():
        for ref in dataset.refs("single-modal"):
            dataset.load(ref)


def test_a_full_row_is_read_whole(write: Write) -> None:
    path = write(
        f"{HEADER},split,fixed_modality,moving_modality,landmarks,group,fixed_vessels,fake_octa,spacing_um,note",
        'a,cf.png,octa.png,train,cf,octa,points.csv,eye-7,vessels.png,fake.png,11.5,"one, two"',
    )
    dataset = open_dataset(str(path))
    assert isinstance(dataset, Dataset)
    (ref,) = dataset.refs("multi-modal")
    pair = dataset.load(ref)
    assert (pair.pair_id, pair.group, pair.subset, pair.note) == ("a", "eye-7", "train", "one, two")
    assert (pair.fixed.modality, pair.fixed.pixels.shape) == ("cf", (20, 30, 3))
    assert (pair.moving.modality, pair.moving.pixels.shape) == ("octa", (24, 24))
    assert pair.truth.spacing_um == 11.5
    assert pair.truth.fixed_vessels is not None
    assert pair.truth.moving_vessels is None
    assert pair.truth.moving_points is not None
    assert pair.truth.fixed_points is not None
    assert pair.truth.moving_points.tolist() == [[1, 2], [5.5, 6]]
    assert pair.truth.fixed_points.tolist() == [[3, 4], [7, 8]]
    (single,) = dataset.refs("single-modal")
    fake = dataset.load(single)
    assert (fake.fixed.modality, fake.fixed.pixels.shape) == ("octa", (20, 30))
    assert fake.moving.modality == "octa"


def test_the_least_row_gets_sane_defaults(write: Write, folder: Path) -> None:
    write(HEADER, "a,cf.png,octa.png", "b,octa.png,cf.png")
    dataset = open_dataset(str(folder))
    first, second = dataset.refs("multi-modal")
    assert (first.subset, first.group, first.fixed_modality) == ("test", "a", "unknown")
    assert second.pair_id == "b"
    assert dataset.load(second).truth.moving_points is None
    assert dataset.info.name == folder.name
    with pytest.raises(MissingSplit, match="no row has a fake_octa"):
        dataset.refs("single-modal")


def test_spreadsheet_files_are_read(write: Write) -> None:
    load_all(write("pair_id, fixed , moving", " a , cf.png, octa.png ", "", encoding="utf-8-sig"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["pair_id,fixed"], "line 1: no column moving"),
        ([f"{HEADER},fixd"], "line 1: unknown column fixd; known are pair_id"),
        ([f"{HEADER},fixed", "a,cf.png,octa.png,cf.png"], "line 1: column fixed is there twice"),
        ([HEADER], "no pairs, only a header"),
        ([""], "line 1: no column pair_id, fixed, moving"),
        ([HEADER, "a,cf.png"], "line 2: 2 cells, the header has 3"),
        ([HEADER, "a,cf.png,octa.png", "b,cf.png,octa.png,x"], "line 3: 4 cells, the header has 3"),
        ([HEADER, "a,cf.png,octa.png", "", "a,cf.png,octa.png"], "line 4: pair_id 'a' is already"),
        ([HEADER, ",cf.png,octa.png"], "line 2: pair_id is empty"),
        ([HEADER, "a,cf.png,"], "line 2: moving is empty"),
        ([HEADER, "a,cf.png,gone.png"], "line 2: moving gone.png does not exist"),
        (
            [f"{HEADER},split", "a,cf.png,octa.png,val"],
            "line 2: subset is 'val'; say",
        ),
        ([f"{HEADER},spacing_um", "a,cf.png,octa.png,wide"], "line 2: spacing_um is 'wide'"),
        ([f"{HEADER},spacing_um", "a,cf.png,octa.png,inf"], "line 2: spacing_um is 'inf'"),
        ([f"{HEADER},spacing_um", "a,cf.png,octa.png,0"], "line 2: spacing_um is '0'"),
        ([f"{HEADER},landmarks", "a,cf.png,octa.png,no.csv"], "line 2: landmarks no.csv does not"),
        ([HEADER, "a,cf.png,points.csv"], "points.csv: not a picture"),
        (
            [f"{HEADER},fixed_vessels", "a,octa.png,cf.png,vessels.png"],
            "vessels.png: the mask is 30×20 but its image 24×24",
        ),
        (
            [f"{HEADER},fake_octa", "a,cf.png,octa.png,small.png"],
            "small.png: 15×10 px, its original 30×20",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(lines: list[str], message: str, write: Write) -> None:
    path = write(*lines)
    with pytest.raises(BadInput) as caught:
        load_all(path)
    assert message in str(caught.value)
    assert str(path.parent) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["x,y"], "line 1: no column moving_x, moving_y, fixed_x, fixed_y; the header is"),
        (["moving_x,moving_y,fixed_x,fixed_y"], "no landmarks, only a header"),
        (["moving_x,moving_y,fixed_x,fixed_y", "1,2,3,4", "1,2,3,four"], "line 3: not four numb"),
        (["moving_x,moving_y,fixed_x,fixed_y", "1,2,3"], "line 2: 3 cells, the header has 4"),
        (["moving_x,moving_y,fixed_x,fixed_y", "", "1,2,3,nan"], "line 3: coordinates must be fin"),
    ],
)
def test_a_mistake_among_landmarks_is_named(lines: list[str], message: str, write: Write) -> None:
    write(*lines, name="own.csv")
    path = write(f"{HEADER},landmarks", "a,cf.png,octa.png,own.csv")
    with pytest.raises(BadInput) as caught:
        load_all(path)
    assert f"own.csv, {message}" in str(caught.value) or f"own.csv: {message}" in str(caught.value)


def test_files_of_another_kind_are_refused(folder: Path, write: Write) -> None:
    for path, message in {
        folder / "gone.csv": "no such file",
        write(HEADER, "ä,cf.png,octa.png", name="old.csv", encoding="latin-1"): "CSV file in UTF-8",
    }.items():
        with pytest.raises(BadInput, match=message):
            load_all(path)
    with pytest.raises(BadInput, match=r"no such file or folder"):
        open_dataset(str(folder / "nothing" / "here"))
    (folder / "empty").mkdir()
    with pytest.raises(BadInput, match="no known kind of data set"):
        open_dataset(str(folder / "empty"))
    with pytest.raises(BadInput, match="needs its option root: manifest:root="):
        open_dataset("manifest")


def test_a_pair_that_left_the_file_is_named(write: Write) -> None:
    (ref,) = Manifest(root=write(HEADER, "a,cf.png,octa.png")).refs("multi-modal")
    other = Manifest(root=write(HEADER, "b,cf.png,octa.png"))
    with pytest.raises(BadInput, match="no pair 'a' any more"):
        other.load(ref)


def test_checking_tells_what_is_there_and_what_is_missing(write: Write) -> None:
    path = write(
        f"{HEADER},split,landmarks,fixed_modality,moving_modality",
        "a,cf.png,octa.png,train,points.csv,cf,octa",
        "b,cf.png,octa.png,test,,cf,octa",
    )
    result = check_dataset(Manifest(root=path), {}, NullProgress())
    multi, single = result.rows()
    assert multi == ["multi-modal", "2", "2", "1 / 1", "cf ← octa", "30×20", "1 of 2"]
    assert single[:5] == ["single-modal", "2", "2", "1 / 1", "octa ← octa"]
    remarks = "\n".join(result.remarks)
    assert "1 pair has no landmarks" in remarks
    assert "name eyes in group" in remarks
    named = write(f"{HEADER},group", "a,cf.png,octa.png,left", "b,cf.png,octa.png,right")
    result_of_named = check_dataset(Manifest(root=named), {}, NullProgress())
    assert "name eyes in group" not in "\n".join(result_of_named.remarks)
    split = result.as_dict()["splits"][0]
    assert split["modalities"] == {"cf ← octa": 2}
    assert split["eyes"] == ["a", "b"]
