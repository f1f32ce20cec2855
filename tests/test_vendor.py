"""Exports of OCT devices, on a Heidelberg file written here."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from imedbench.core.errors import BadInput
from imedbench.core.images import read_image

pytest.importorskip("eyepy", reason="comes with imedbench[vendor]")


HEADER = "<12sIIIdddIIddId4sQiI16s16sI24sdI24sdIIII34s1790x"
LINE_HEADER = "<12sIddddIIfI6f168x"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Six lines of 40 columns, 60 µm apart, columns 20 µm; scanned upwards, the fourth bright."""
    slo = np.random.default_rng(0).integers(0, 255, (48, 48), np.uint8)
    header = struct.pack(
        HEADER,
        *(b"HSF-OCT-103", 40, 6, 16, 0.02, 0.06, 0.004, 48, 48, 0.0125, 0.0125, 30, 0.0, b"OD"),
        *(0, 3, 256, b"1", b"1", 1, b"x", 0.0, 0, b"", 0.0, 0, 0, 0, 0, b""),
    )
    lines = [
        struct.pack(LINE_HEADER, b"HSF-BS-103", 256, 0, y, 0.8, y, 0, 256, 30, 0, *[0] * 6)
        + np.full((16, 40), 0.5 if n == 3 else 0.01, np.float32).tobytes()
        for n, y in enumerate(np.arange(5, -1, -1) * 0.06)
    ]
    (tmp_path / "eye.vol").write_bytes(header + slo.tobytes() + b"".join(lines))
    return tmp_path / "eye.vol"


def test_the_fundus_image_and_the_scan_from_above(export: Path) -> None:
    fundus = read_image(Path(f"{export}#1"), "ir")
    expected = np.random.default_rng(0).integers(0, 255, (48, 48), np.uint8)
    np.testing.assert_array_equal(fundus.pixels, expected)
    assert fundus.spacing_um == pytest.approx(12.5)
    above = read_image(Path(f"{export}#2"))
    assert above.size == (40, 18), "lines 60 µm apart, columns 20 µm"
    assert above.spacing_um == pytest.approx(20)
    brightest = int(above.pixels.mean(1).argmax())
    assert 6 <= brightest <= 8, "the fourth line from below is the third from above"
    assert "6 lines stretched to 18 px" in above.note


def test_what_cannot_be_read_is_named(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match=r"say which image, eye\.vol#1 for the fundus image"):
        read_image(export)
    (tmp_path / "torn.vol").write_bytes(export.read_bytes()[:900])
    with pytest.raises(BadInput, match=r"torn\.vol#1: not an export that can be read"):
        read_image(tmp_path / "torn.vol#1")
    monkeypatch.setitem(sys.modules, "eyepy", None)
    with pytest.raises(BadInput, match=r"pip install 'imedbench\[vendor\]'"):
        read_image(Path(f"{export}#1"))
