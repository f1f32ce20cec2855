"""What the joint network learns from: which image comes first, and where its points belong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("lightning")

from imedbench.core.errors import BadInput
from imedbench.methods.training.joint_data import Reader, read_retinas
from imedbench.methods.training.warped_pairs import WarpRange, warped_pair

SIZE = 120


def drawn(*, dark: bool, shift: int = 0) -> np.ndarray:
    """Curved lines on noise; shifted to the right."""
    rng = np.random.default_rng(3)
    lines = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(7):
        points = np.cumsum(rng.normal(0, 16, (6, 2)), axis=0) + rng.uniform(20, 100, 2)
        cv2.polylines(lines, [(points + np.array([shift, 0])).astype(np.int32)], False, 60.0, 3)
    grey = 120 + (-1 if dark else 1) * cv2.GaussianBlur(lines, (0, 0), 0.8)
    return np.clip(grey + rng.normal(0, 2, lines.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A fixed OCTA, and a photograph 6 px to its right as the moving image."""
    cv2.imwrite(str(tmp_path / "octa.png"), drawn(dark=False))
    cv2.imwrite(str(tmp_path / "cf.png"), drawn(dark=True, shift=6))
    fixed = np.random.default_rng(0).uniform(10, 110, (9, 2))
    rows = np.hstack([fixed + np.array([6, 0]), fixed])
    header = "moving_x,moving_y,fixed_x,fixed_y"
    np.savetxt(tmp_path / "marks.csv", rows, delimiter=",", header=header, comments="")
    (tmp_path / "pairs.csv").write_text(
        "pair_id,split,fixed,moving,landmarks\n"
        "a,train,octa.png,cf.png,marks.csv\n"
        "b,test,none.png,none.png,none.csv\n"
    )
    return tmp_path


def test_the_photograph_of_a_pair_comes_first(pairs: Path) -> None:
    [[retina]] = read_retinas([pairs], "train", (1.0,), "", "vessels")
    assert retina.first.name == "cf"
    np.testing.assert_allclose(retina.first_from_second.apply([[50, 40]]), [[56, 40]], atol=1e-6)
    # without a transformer the photograph is merely inverted: both show bright vessels
    moved = np.roll(retina.second.plane, 6, axis=1)[10:-10, 16:-10]
    assert np.corrcoef(moved.ravel(), retina.first.plane[10:-10, 16:-10].ravel())[0, 1] > 0.8


def test_views_of_a_pair_show_one_place_where_the_warp_says(pairs: Path) -> None:
    [[retina]] = read_retinas([pairs], "train", (1.0,), "", "vessels")
    for longest in (SIZE, 80):
        pair = warped_pair(retina.shrunk(longest), 64, WarpRange(), np.random.default_rng(2))
        y, x = np.mgrid[:64, :64]
        there = pair.source_from_target.apply(np.column_stack([x.ravel(), y.ravel()]))
        places = there.astype(np.float32).reshape(64, 64, 2)
        moved = cv2.remap(pair.source.plane, places, None, cv2.INTER_LINEAR, borderValue=-1)
        seen = (moved >= 0) & pair.target.fov
        assert seen.mean() > 0.2
        assert np.corrcoef(moved[seen], pair.target.plane[seen])[0, 1] > 0.6


def test_a_photograph_alone_is_seen_transferred_and_as_it_is(tmp_path: Path) -> None:
    for kind in ("images", "vessels"):
        (tmp_path / kind / "train").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / kind / "train" / "1.png"), drawn(dark=True))
    reader = Reader(lambda grey, fov, size: np.full_like(grey, size), teacher=None)  # type: ignore[arg-type]
    [retina] = reader.read(tmp_path, "train", 0.25)
    assert retina.first.plane == pytest.approx(0.5)  # the transfer left nothing to see
    assert retina.second.plane.std() > 0.1
    np.testing.assert_array_equal(retina.first.vessels, retina.second.vessels)


def test_what_is_wrong_is_named(pairs: Path) -> None:
    with pytest.raises(BadInput, match="no validation pairs"):
        read_retinas([pairs], "validation", (1.0,), "", "vessels")
    with pytest.raises(BadInput, match="zooms: 2 given for 1"):
        read_retinas([pairs], "train", (1.0, 2.0), "", "vessels")
    (pairs / "marks.csv").write_text("moving_x,moving_y,fixed_x,fixed_y\n1,2,3,4\n")
    with pytest.raises(BadInput, match=r"marks.csv: 1 landmarks"):
        read_retinas([pairs], "train", (1.0,), "", "vessels")
    (pairs / "marks.csv").unlink()
    with pytest.raises(BadInput, match=r"landmarks marks.csv does not exist"):
        read_retinas([pairs], "train", (1.0,), "", "vessels")
    (pairs / "pairs.csv").write_text("pair_id,split,fixed\na,train,octa.png\n")
    with pytest.raises(BadInput, match=r"no column moving"):
        read_retinas([pairs], "train", (1.0,), "", "vessels")
