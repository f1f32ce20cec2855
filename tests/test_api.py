"""`import imedbench as ib`: the examples that the documentation gives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import imedbench as ib
from imedbench.core.errors import BadInput
from imedbench.core.images import write_image
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, Registration
from imedbench.datasets.synthetic.pairs import make_pair


def test_a_pair_is_aligned_from_arrays_and_from_files(tmp_path: Path) -> None:
    pair = make_pair(3, "easy", size=256)
    found = ib.register(pair.fixed.pixels, pair.moving.pixels, method="imed")
    assert found
    assert found.transform is not None
    assert pair.truth.moving_points is not None
    off = found.transform.apply(pair.truth.moving_points) - pair.truth.fixed_points
    assert np.linalg.norm(off, axis=1).mean() < 1.5
    assert found.warped().shape[:2] == pair.fixed.shape
    assert found.confidence is not None
    assert "confidence 0.9" in repr(found) or "confidence 1.00" in repr(found)
    for name, image in (("fixed", pair.fixed), ("moving", pair.moving)):
        write_image(tmp_path / f"{name}.png", image.pixels)
    again = ib.register(tmp_path / "fixed.png", str(tmp_path / "moving.png"))
    assert again.transform is not None
    np.testing.assert_allclose(again.transform.apply([[9, 9]]), found.transform.apply([[9, 9]]))


def test_a_function_is_a_method_and_a_failure_says_why() -> None:
    picture = np.zeros((40, 50), np.uint8)
    picture[10:20, 12:30] = 200

    def shift(fixed: Image, moving: Image) -> Registration:
        return Registration(Affine([[1, 0, 3], [0, 1, 0]]))

    found = ib.register(picture, picture, shift)
    np.testing.assert_array_equal(found.warped()[:, 3:], picture[:, :-3])
    lost = ib.register(picture, picture, lambda fixed, moving: Registration.failed("too dark"))
    assert not lost
    assert (lost.outcome, lost.reason) == ("no_transform", "too dark")
    with pytest.raises(BadInput, match="no transform to warp by: too dark"):
        lost.warped()
    broken = ib.register(picture, picture, lambda fixed, moving: None)  # type: ignore[arg-type,return-value]
    assert broken.outcome == "crash"
    with pytest.raises(BadInput, match="did you mean"):
        ib.register(picture, picture, "sfit")


def test_a_benchmark_gives_tables(write_manifest: Callable[..., Path], tmp_path: Path) -> None:
    data = write_manifest(tmp_path / "data", ["cf"] * 3)
    run = ib.benchmark(
        ["identity", "sift"], data=str(data), out=tmp_path / "run", splits=["multi-modal"]
    )
    frame, summary = run.frame(), run.summary()
    assert set(frame["method"]) == {"identity", "sift"}
    assert list(summary["method"]) == ["identity", "sift"]
    assert (summary["n"] == 3).all()
    rows = run.compare("identity", "sift")
    assert "tre_mean" in set(rows["metric"])
    assert run.report("md").is_file()
    assert "sift" in repr(run)
    assert "<table" in run._repr_html_()
    again = ib.Results(tmp_path / "run")
    assert len(again.frame()) == len(frame)


def test_a_function_cannot_be_sent_to_another_process() -> None:
    with pytest.raises(BadInput, match=r"plugins=\[…\]"):
        ib.benchmark([lambda fixed, moving: None])  # type: ignore[list-item]


def test_importing_costs_nothing() -> None:
    code = (
        "import sys, imedbench; print([m for m in ('numpy', 'torch', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert {"register", "benchmark"} <= set(dir(ib))
    with pytest.raises(AttributeError, match="no attribute 'registr'"):
        _ = ib.registr
