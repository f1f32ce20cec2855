"""`align` and `apply`: registered images of one's own, whole chains on files written here."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from imedbench.core.datasets import MissingSplit, open_dataset
from imedbench.core.errors import BadInput, Mistakes
from imedbench.core.images import read_image, write_image
from imedbench.core.transforms import Affine, Homography, Transform, warp_image
from imedbench.core.transforms.itk import TOLERANCE_PX, to_itk
from imedbench.runs.alignment import read_alignment

Cli = Callable[..., Any]
SIZE = 160


def scene(seed: int, shape: tuple[int, int] = (SIZE, SIZE + 6)) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 20, 235, cv2.NORM_MINMAX)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two pairs, the OCTA 6 px left of the CF and at 16 bits, and one that shows two places."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for seed, name in enumerate(("07", "eye_b")):
        whole = scene(seed)
        write_image(folder / f"{name}_cf.png", whole[:, :-6].astype(np.uint8))
        write_image(folder / f"{name}_octa.tif", (whole[:, 6:] * 257).astype(np.uint16))
    write_image(folder / "z_cf.png", scene(5)[:, :-6].astype(np.uint8))
    write_image(folder / "z_octa.png", np.full((SIZE, SIZE), 90, np.uint8))
    return folder


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "aligned.csv").open() as file:
        return list(csv.DictReader(file))


ALIGN = ("--method", "sift:model=affine")


def test_a_folder_is_aligned_at_full_depth_with_the_refused_on_top(
    scans: Path, tmp_path: Path, cli: Cli
) -> None:
    out = tmp_path / "aligned"
    ended = cli("align", scans, "--out", out, *ALIGN)
    assert ended.code == 0, ended.err
    assert "2 of 3 pairs aligned" in ended.out
    table = rows(out)
    assert table[0]["pair_id"] == "z"
    assert (table[0]["outcome"], table[0]["image"]) == ("no_transform", "")
    assert table[0]["reason"]
    assert {row["pair_id"] for row in table[1:]} == {"07", "eye_b"}
    warped = cv2.imread(str(out / "images" / "07.png"), cv2.IMREAD_UNCHANGED)
    assert warped.dtype == np.uint16
    wanted = (scene(0)[:, :-6] * 257)[20:-20, 20:-20]
    assert np.abs(warped[20:-20, 20:-20] - wanted).mean() < 300, "of 65535"
    alignment = read_alignment(out / "transforms" / "07.json")
    np.testing.assert_allclose(alignment.fixed_from_moving.apply([[80, 80]]), [[86, 80]], atol=0.2)
    assert (out / "transforms" / "07.tfm").read_text().startswith("#Insight Transform File V1.0")
    sheet = read_image(out / "qc.png")
    assert sheet.size == (3 * 256, 3 * (256 + 22))
    red = (sheet.pixels[..., 0].astype(int) - sheet.pixels[..., 1] > 100).any(1)
    assert red[:22].any(), "the caption of the refused pair"


def test_the_same_command_goes_on_and_writes_only_what_lacks(
    scans: Path, tmp_path: Path, cli: Cli
) -> None:
    out = tmp_path / "aligned"
    assert cli("align", scans, "--out", out, *ALIGN).code == 0
    files = [p for p in out.rglob("*") if p.is_file() and p.parent.name in ("images", "transforms")]
    (out / "images" / "eye_b.png").unlink()
    before = {p: p.stat().st_mtime_ns for p in files if p.name != "eye_b.png"}
    assert cli("align", scans, "--out", out, *ALIGN).code == 0
    assert (out / "images" / "eye_b.png").is_file()
    after = {p: p.stat().st_mtime_ns for p in before if "eye_b" not in p.name}
    assert all(before[p] == time for p, time in after.items())


def test_a_part_of_the_pairs_first_and_the_rest_later(
    scans: Path, tmp_path: Path, cli: Cli
) -> None:
    out = tmp_path / "aligned"
    assert cli("align", scans, "--out", out, *ALIGN, "--limit", 1).code == 0
    assert [row["pair_id"] for row in rows(out)] == ["07"]
    first = (out / "images" / "07.png").stat().st_mtime_ns
    assert cli("align", scans, "--out", out, *ALIGN).code == 0
    assert {row["pair_id"] for row in rows(out)} == {"07", "eye_b", "z"}
    assert (out / "images" / "07.png").stat().st_mtime_ns == first
    lines = [
        "pair_id,fixed,moving,subset",
        "a,07_cf.png,07_octa.tif,train",
        "b,eye_b_cf.png,eye_b_octa.tif,test",
    ]
    (scans / "pairs.csv").write_text("\n".join(lines) + "\n")
    ended = cli("align", scans, "--out", tmp_path / "test", *ALIGN, "--subset", "test")
    assert ended.code == 0, ended.err
    assert [row["pair_id"] for row in rows(tmp_path / "test")] == ["b"]


def test_nothing_of_the_users_is_overwritten(scans: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "notes.txt").write_text("keep")
    ended = cli("align", scans, "--out", out, *ALIGN)
    assert ended.code == 2
    assert "holds other files" in ended.err
    assert [p.name for p in out.iterdir()] == ["notes.txt"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / "images").symlink_to(elsewhere)
    ended = cli("align", scans, "--out", out, *ALIGN, "--force")
    assert ended.code == 2
    assert "leads out of" in ended.err
    assert not any(elsewhere.iterdir())


def test_another_answer_replaces_files_only_by_force(scans: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "aligned"
    assert cli("align", scans, "--out", out, *ALIGN).code == 0
    first = (out / "images" / "07.png").read_bytes()
    ended = cli("align", scans, "--out", out, "--method", "identity")
    assert ended.code == 2
    assert "--force" in ended.err
    assert (out / "images" / "07.png").read_bytes() == first
    other = cli("align", scans, "--out", out, *ALIGN, "--timeout", 30)
    assert other.code == 2
    assert "or --force to replace them" in other.err
    assert cli("align", scans, "--out", out, "--method", "identity", "--force").code == 0
    assert (out / "images" / "07.png").read_bytes() != first
    assert {row["outcome"] for row in rows(out)} == {"ok"}


def test_an_unreadable_image_leaves_the_others_aligned(
    scans: Path, tmp_path: Path, cli: Cli
) -> None:
    (scans / "07_octa.tif").write_bytes(b"II*\0torn")
    ended = cli("align", scans, "--out", tmp_path / "aligned", *ALIGN)
    assert ended.code == 3
    assert "1 of 3 pairs aligned" in ended.out
    assert "first 07:" in ended.err


def test_the_imed_folders_are_aligned_at_full_depth_too(tmp_path: Path, cli: Cli) -> None:
    whole = scene(3)
    for folder in ("CF_ts", "OCTA_ts"):
        (tmp_path / folder).mkdir()
    write_image(tmp_path / "CF_ts" / "1Fundus.png", whole[:, :-6].astype(np.uint8))
    write_image(tmp_path / "OCTA_ts" / "1OCTA.png", (whole[:, 6:] * 257).astype(np.uint16))
    out = tmp_path / "aligned"
    assert cli("align", f"imed:root={tmp_path}", "--out", out, *ALIGN).code == 0
    warped = cv2.imread(str(out / "images" / "1.png"), cv2.IMREAD_UNCHANGED)
    assert warped.dtype == np.uint16


@pytest.fixture
def transform(tmp_path: Path) -> Path:
    """A registration of a moving image of 30×20 px, 5 px left and 2 up, on a fixed one of 40×24."""
    path = tmp_path / "t.json"
    facts = {
        "fixed_from_moving": {"kind": "affine", "matrix": [[1, 0, 5], [0, 1, 2]]},
        "fixed_size": [40, 24],
        "moving_size": [30, 20],
    }
    path.write_text(json.dumps(facts))
    return path


def test_apply_moves_images_masks_and_points_both_ways(
    transform: Path, tmp_path: Path, cli: Cli
) -> None:
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 65535, (20, 30)).astype(np.uint16)
    labels = rng.integers(0, 4, (20, 30)).astype(np.uint8)
    floats = rng.random((24, 40)).astype(np.float32)
    for name, pixels in {"deep.png": deep, "labels.png": labels, "floats.tif": floats}.items():
        cv2.imwrite(str(tmp_path / name), pixels)
    (tmp_path / "p.csv").write_text("name,x,y\nfovea,1.5,2\ndisc,3,4\n")

    def apply(source: str, out: str, *options: str) -> np.ndarray:
        ended = cli("apply", transform, tmp_path / source, "--out", tmp_path / out, *options)
        assert ended.code == 0, ended.err
        return cv2.imread(str(tmp_path / out), cv2.IMREAD_UNCHANGED)

    moved = apply("deep.png", "a.png")
    assert moved.dtype == np.uint16
    assert moved.shape == (24, 40)
    np.testing.assert_array_equal(moved[2:22, 5:35], deep)
    np.testing.assert_array_equal(apply("labels.png", "b.png", "--mask")[2:22, 5:35], labels)
    np.testing.assert_array_equal(apply("floats.tif", "c.tif", "--inverse"), floats[2:22, 5:35])
    assert cli("apply", transform, tmp_path / "p.csv", "-o", tmp_path / "q.csv").code == 0
    assert (tmp_path / "q.csv").read_text() == "name,x,y\nfovea,6.5000,4.0000\ndisc,8.0000,6.0000\n"
    assert (
        cli("apply", transform, tmp_path / "q.csv", "-o", tmp_path / "r.csv", "--inverse").code == 0
    )
    assert "fovea,1.5000,2.0000" in (tmp_path / "r.csv").read_text()


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("small.png", "o.png", "9×7 px, but the transform is of an image of 30×20 px"),
        ("deep.png", "deep.png", "never overwritten"),
        ("deep.png", "there.png", "is there already; --force replaces it"),
        ("deep.png", "o.jpg", "16-bit pixels need a .png or .tif file"),
        ("deep.png", "o.xyz", "16-bit pixels need"),
        ("bad.csv", "o.csv", "no columns x and y"),
        ("worse.csv", "o.csv", "must be numbers"),
        ("none.png", "o.png", "no such file"),
    ],
)
def test_apply_refuses_in_one_line(
    source: str, out: str, message: str, transform: Path, tmp_path: Path, cli: Cli
) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((20, 30), np.uint16))
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((7, 9), np.uint8))
    (tmp_path / "there.png").write_text("mine")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    (tmp_path / "worse.csv").write_text("x,y\n1,two\n")
    ended = cli("apply", transform, tmp_path / source, "--out", tmp_path / out)
    assert ended.code == 2
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert (tmp_path / "there.png").read_text() == "mine"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"fixed_from_moving": 3}', "{"])
def test_a_file_that_is_no_transform_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(BadInput, match="not a transform that imedbench"):
        read_alignment(tmp_path / "t.json")


def test_register_keeps_what_is_there_and_its_transform_can_be_applied(
    tmp_path: Path, cli: Cli
) -> None:
    whole = scene(0)
    write_image(tmp_path / "warped.png", whole[:, 6:].astype(np.uint8))
    write_image(tmp_path / "fixed.png", whole[:, :-6].astype(np.uint8))
    command = ("register", tmp_path / "fixed.png", tmp_path / "warped.png", *ALIGN)
    ended = cli(*command, "--out", tmp_path, "--force")
    assert ended.code == 2
    assert "warped.png: is an input, which is never overwritten" in ended.err
    assert cli(*command, "--out", tmp_path / "a").code == 0
    assert "--force replaces it" in cli(*command, "--out", tmp_path / "a").err
    file = tmp_path / "a" / "transform.json"
    assert cli("apply", file, tmp_path / "warped.png", "-o", tmp_path / "w.png").code == 0


# ITK files


def itk_map(text: str, points: np.ndarray) -> np.ndarray:
    """What ITK does with such a file, written from its documentation."""
    lines = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    numbers = np.array(lines["Parameters"].split(), float)
    fixed = np.array(lines["FixedParameters"].split(), float)
    if lines["Transform"].startswith("Affine"):
        return (points - fixed) @ numbers[:4].reshape(2, 2).T + numbers[4:] + fixed
    width, height = fixed[:2].astype(int)
    field = numbers.reshape(height, width, 2).astype(np.float32)
    at = ((points - fixed[2:4]) / fixed[4:6]).astype(np.float32).reshape(-1, 1, 2)
    return points + cv2.remap(field, at, None, cv2.INTER_LINEAR)[:, 0]


@pytest.mark.parametrize(
    "transform",
    [
        Affine([[0.9, 0.1, 3], [-0.1, 1.1, -7]]),
        Homography([[0.9, 0.1, 3], [-0.1, 1.1, -7], [2e-4, -1e-4, 1]]),
    ],
)
def test_itk_files_hold_the_map_that_itk_resamples_with(transform: Transform) -> None:
    text = to_itk(transform, (200, 120))
    points = np.random.default_rng(0).uniform(0, [199, 119], (500, 2))
    # OpenCV's linear reading has steps of 1/32 of a node's distance.
    np.testing.assert_allclose(itk_map(text, points), transform.apply(points), atol=0.2)
    nodes = np.stack(np.meshgrid(np.arange(0, 200, 8), np.arange(0, 120, 8)), -1).reshape(-1, 2)
    found = itk_map(text, nodes.astype(float))
    np.testing.assert_allclose(found, transform.apply(nodes), atol=TOLERANCE_PX)


def test_an_itk_affine_resamples_as_we_do() -> None:
    """The direction: ITK pulls the moving image through the map from the fixed image's points."""
    image = scene(1).astype(np.uint8)
    fixed_from_moving = Affine([[1, 0, 4], [0, 1, -3]])
    text = to_itk(fixed_from_moving.inverse(), (SIZE, SIZE))
    assert np.allclose(itk_map(text, np.array([[10.0, 10.0]])), [[6, 13]])
    warped = warp_image(image, fixed_from_moving.inverse(), (SIZE, SIZE))
    assert warped[10, 10] == image[13, 6]


@pytest.mark.parametrize(
    "transform",
    [
        Affine([[0.9, 0.1, 3], [-0.1, 1.1, -7]]),
        Homography([[0.9, 0.1, 3], [-0.1, 1.1, -7], [2e-4, -1e-4, 1]]),
    ],
)
def test_itk_itself_reads_the_file(transform: Transform, tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK", reason="comes with imedbench[itk]")
    (tmp_path / "t.tfm").write_text(to_itk(transform, (200, 120)))
    read = itk.ReadTransform(str(tmp_path / "t.tfm"))
    points = np.random.default_rng(0).uniform(0, [199, 119], (100, 2))
    found = [read.TransformPoint(point.tolist()) for point in points]
    np.testing.assert_allclose(found, transform.apply(points), atol=2 * TOLERANCE_PX)


@pytest.mark.parametrize(
    "transform",
    [
        Affine([[0.9, 0.1, 3], [-0.1, 1.1, -7]]),
        Homography([[0.9, 0.1, 3], [-0.1, 1.1, -7], [2e-4, -1e-4, 1]]),
    ],
)
def test_itk_resamples_as_we_do(transform: Transform, tmp_path: Path) -> None:
    """The written file, read and used by ITK, gives the image that `align` writes."""
    itk = pytest.importorskip("SimpleITK", reason="comes with imedbench[itk]")
    moving = scene(2, (110, 140)).astype(np.float32)
    moving_from_fixed = transform.inverse()
    (tmp_path / "t.tfm").write_text(to_itk(moving_from_fixed, (200, 120)))
    read = itk.ReadTransform(str(tmp_path / "t.tfm"))
    grid = itk.Image(200, 120, itk.sitkFloat32)
    theirs = itk.Resample(itk.GetImageFromArray(moving), grid, read, itk.sitkLinear, -1.0)
    found = itk.GetArrayFromImage(theirs)
    ours = warp_image(moving, moving_from_fixed, (120, 200))
    inside = cv2.erode((found >= 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert inside.mean() > 0.3
    assert np.abs(found - ours)[inside].max() < 1.5, "of 255"


# Folders of files


def test_a_folder_names_what_lacks_its_partner(scans: Path) -> None:
    dataset = open_dataset(str(scans))
    assert [ref.pair_id for ref in dataset.refs("multi-modal")] == ["07", "eye_b", "z"]
    with pytest.raises(MissingSplit):
        dataset.refs("single-modal")
    (scans / "z_octa.png").unlink()
    write_image(scans / "07_cf.tif", np.zeros((8, 8), np.uint8))
    with pytest.raises(Mistakes) as caught:
        open_dataset(str(scans)).refs("multi-modal")
    assert len(caught.value.messages) == 2
    assert "z_cf.png: its partner z_octa.* is missing" in "\n".join(caught.value.messages)
    assert "07_cf.tif: 07_cf.png is there too" in "\n".join(caught.value.messages)
    assert [ref.pair_id for ref in caught.value.rest] == ["07", "eye_b"]


def test_other_modalities_are_named_by_options(scans: Path) -> None:
    for path in list(scans.glob("*_octa.*")):
        path.rename(path.with_name(path.name.replace("_octa", "_FA")))
    dataset = open_dataset(f"folder:root={scans}:moving=fa")
    (first, *_) = dataset.refs("multi-modal")
    assert (first.fixed_modality, first.moving_modality) == ("cf", "fa")
    assert dataset.load(first).moving.modality == "fa"
