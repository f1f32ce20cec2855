"""Exports of OCT devices, on files that are written here from the formats' descriptions."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from imedbench.core.errors import BadInput
from imedbench.core.images import read_image
from imedbench.core.oct_scans import seen_from_above

needs_eyepy = pytest.mark.skipif(
    __import__("importlib").util.find_spec("eyepy") is None, reason="comes with imedbench[vendor]"
)
RNG = np.random.default_rng(0)
SLO = RNG.integers(0, 255, (48, 48), np.uint8)
BRIGHT = 3  # the line that is brighter than the others


# Heidelberg's .vol

HEADER = "<12sIIIdddIIddId4sQiI16s16sI24sdI24sdIIII34s1790x"
LINE_HEADER = "<12sIddddIIfI6f168x"


@pytest.fixture
def vol(tmp_path: Path) -> Path:
    """Six lines of 40 columns, 60 µm apart, columns 20 µm; scanned upwards, the fourth bright."""
    header = struct.pack(
        HEADER,
        *(b"HSF-OCT-103", 40, 6, 16, 0.02, 0.06, 0.004, 48, 48, 0.0125, 0.0125, 30, 0.0, b"OD"),
        *(0, 3, 256, b"1", b"1", 1, b"x", 0.0, 0, b"", 0.0, 0, 0, 0, 0, b""),
    )
    lines = [
        struct.pack(LINE_HEADER, b"HSF-BS-103", 256, 0, y, 0.8, y, 0, 256, 30, 0, *[0] * 6)
        + np.full((16, 40), 0.5 if n == BRIGHT else 0.01, np.float32).tobytes()
        for n, y in enumerate(np.arange(5, -1, -1) * 0.06)
    ]
    (tmp_path / "eye.vol").write_bytes(header + SLO.tobytes() + b"".join(lines))
    return tmp_path / "eye.vol"


@needs_eyepy
def test_the_fundus_image_and_the_scan_from_above(vol: Path) -> None:
    fundus = read_image(Path(f"{vol}#1"), "ir")
    np.testing.assert_array_equal(fundus.pixels, SLO)
    assert fundus.spacing_um == pytest.approx(12.5)
    assert fundus.note == "fundus image, right eye, OCT of 6 lines; pixels of 12.5 µm"
    above = read_image(Path(f"{vol}#2"))
    assert above.size == (40, 18), "lines 60 µm apart, columns 20 µm"
    assert above.spacing_um == pytest.approx(20)
    brightest = int(above.pixels.mean(1).argmax())
    assert 6 <= brightest <= 8, "the fourth line from below is the third from above"
    assert "6 lines stretched to 18 px; pixels of 20 µm" in above.note


# Heidelberg's .e2e

FUNDUS, LINE = 33620481, 35652097  # kinds of image


def minifloat(value: float) -> int:
    """The device's own numbers: six bits of exponent, ten of mantissa, no sign."""
    mantissa, exponent = np.frexp(value)
    fraction = round((2 * float(mantissa) - 1) * 1024)
    # eyepy takes the bits of the mantissa last first.
    return ((int(exponent) - 1 + 63) << 10) | int(f"{fraction:010b}", 2)


def e2e_image(kind: int, pixels: np.ndarray) -> bytes:
    height, width = pixels.shape
    return struct.pack("<5I", pixels.nbytes, kind, pixels.size, height, width) + pixels.tobytes()


def e2e_line(number: int, lines: int, width: int, y: float) -> bytes:
    """Where a line lies: 2° left of the centre to 2° right of it."""
    return struct.pack(
        "<3I4fI3fI2f5I2fIQI2f12sI16sf12sf",
        *(0, 16, width, -2.0, y, 2.0, y, 0, 0.0, 0.004, 0.0, 0, 0.0, 0.0, 0),
        *(width, lines, number, 3, 0.0, y, 0, 0, 1, 0.8, 0.0, b"", 9, b"", 3.6, b"", 30.0),
    )


def e2e_text(*words: str) -> bytes:
    return struct.pack("<2I", len(words), 256) + b"".join(
        word.encode("utf-16-le").ljust(256, b"\0") for word in words
    )


def write_e2e(path: Path, blocks: list[tuple[int, int, int, bytes]]) -> Path:
    """Write blocks of (series, slice, type, content); series and slice are -1 for none."""
    head = b"MDbMDir".ljust(12, b"\0") + struct.pack("<I10H", 0x64, *[0] * 10)
    start = 36 + 52
    at = start + 52 + 44 * len(blocks)
    folders, contents = b"", b""
    for series, part, kind, content in blocks:
        ids = struct.pack("<4i2H2I", 1, 1, series, part, 0, 0, kind, 0)
        folders += struct.pack("<4I", start, at, len(content), 0) + ids
        contents += b"MDbData".ljust(12, b"\0")
        contents += struct.pack("<5I", 0, start, at, len(content), 0) + ids + content
        at += 60 + len(content)
    version = b"CMDb".ljust(12, b"\0") + struct.pack("<I10H", 0x64, *[0] * 10)
    chunk = head + struct.pack("<4I", len(blocks), start, 0, 0)
    path.write_bytes(version + head + struct.pack("<4I", 0, 0, start, 0) + chunk + folders)
    with path.open("ab") as file:
        file.write(contents)
    return path


def e2e_scan(series: int, eye: str, lines: int) -> list[tuple[int, int, int, bytes]]:
    """One scan upwards of 32 columns over 4°, lines 0.5° apart; its fourth line is bright."""
    blocks = [
        (series, -1, 11, bytes(14) + eye.encode() + bytes(12)),
        (series, -1, 9007, e2e_text("", "IR")),
        (series, -1, 1 << 30, e2e_image(FUNDUS, SLO + series)),
    ]
    for n in range(lines):
        level = minifloat(0.5 if n == BRIGHT else 0.015625)
        blocks.append((series, 2 * n, 10004, e2e_line(n, lines, 32, 0.5 * (lines - 1 - n))))
        pixels = np.full((16, 32), level, np.uint16)
        blocks.append((series, 2 * n, 1 << 30, e2e_image(LINE, pixels)))
    return blocks


@needs_eyepy
def test_an_e2e_file_of_several_scans(tmp_path: Path) -> None:
    angiogram = [(9, -1, 1 << 30, e2e_image(FUNDUS, SLO[::-1]))]
    blocks = e2e_scan(1, "R", 6) + e2e_scan(2, "L", 8) + angiogram
    path = write_e2e(tmp_path / "eyes.e2e", blocks)
    with pytest.raises(BadInput) as caught:
        read_image(path)
    for part in ("#1 for the fundus image", "right eye, OCT of 6 lines", "#4 for the OCT",
                 "left eye, OCT of 8 lines", "#5 for the fundus image"):  # fmt: skip
        assert part in str(caught.value)
    right, left = read_image(Path(f"{path}#1")), read_image(Path(f"{path}#3"))
    np.testing.assert_array_equal(right.pixels, SLO + 1)
    np.testing.assert_array_equal(left.pixels, SLO + 2)
    assert left.note == "NIR fundus image, left eye, OCT of 8 lines; no pixel size in the file"
    assert left.spacing_um is None, "the file holds angles, no lengths"
    above = read_image(Path(f"{path}#4"))
    assert above.size == (32, 32), "8 lines 0.5° apart, columns of 0.125°"
    assert above.spacing_um is None
    assert 16 <= int(above.pixels.mean(1).argmax()) <= 19, "the fourth of eight from below"
    np.testing.assert_array_equal(read_image(Path(f"{path}#5")).pixels, SLO[::-1])
    with pytest.raises(BadInput, match=r"eyes\.e2e#6: this scan is an image without OCT"):
        read_image(Path(f"{path}#6"))
    with pytest.raises(BadInput, match="say which image"):
        read_image(Path(f"{path}#7"))


# Topcon's .fda


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    PilImage.fromarray(pixels).save(file, "JPEG2000", irreversible=False)
    return file.getvalue()


def write_fda(path: Path, blocks: dict[str, bytes]) -> Path:
    content = b"FOCTFDA" + struct.pack("<2I", 2, 0)
    for name, block in blocks.items():
        content += bytes([len(name)]) + name.encode() + struct.pack("<I", len(block)) + block
    path.write_bytes(content + b"\0")
    return path


PHOTO = RNG.integers(0, 255, (30, 40, 3), np.uint8)


def fda_blocks() -> dict[str, bytes]:
    """Four lines of 20 columns over 6 mm by 2.4 mm, the third bright; a photograph of 40×30 px."""
    photo = jpeg(np.ascontiguousarray(PHOTO[..., ::-1]))
    slices = [jpeg(np.full((16, 20), 200 if n == 2 else 20, np.uint8)) for n in range(4)]
    return {
        "@IMG_FUNDUS": struct.pack("<6I", 40, 30, 24, 1, 0, len(photo)) + photo,
        "@IMG_JPEG": struct.pack("<B6I", 2, 0, 0, 20, 16, 4, 0)
        + b"".join(struct.pack("<I", len(s)) + s for s in slices),
        "@PARAM_SCAN_04": struct.pack("<3I5d2B", 0, 0, 0, 6.0, 2.4, 2.6, 0, 0, 0, 0),
        "@REGIST_INFO": struct.pack("<B2I4I", 0, 0, 0, 5, 5, 35, 17) + bytes(48),
    }


def test_an_fda_file(tmp_path: Path) -> None:
    path = write_fda(tmp_path / "eye.fda", fda_blocks())
    photo = read_image(Path(f"{path}#1"), "cf")
    np.testing.assert_array_equal(photo.pixels, PHOTO)
    assert photo.spacing_um == pytest.approx(200), "6 mm over 30 px"
    above = read_image(Path(f"{path}#2"))
    assert above.spacing_um == pytest.approx(300)
    assert above.size == (20, 11), "4 lines 0.8 mm apart, columns of 0.3 mm"
    assert 6 <= int(above.pixels.mean(1).argmax()) <= 8, "the third line from above"


def test_an_fda_file_of_raw_lines_that_says_nothing_of_lengths(tmp_path: Path) -> None:
    blocks = fda_blocks()
    volume = np.zeros((4, 16, 20), np.uint16)
    volume[1] = 900
    raw = struct.pack("<B4IBI", 2, 20, 16, 16, 4, 0, volume.nbytes) + volume.tobytes()
    path = write_fda(tmp_path / "eye.fda", {"@IMG_MOT_COMP_03": raw})
    above = read_image(Path(f"{path}#2"))
    assert above.size[0] == 20
    assert above.spacing_um is None
    assert "no pixel size in the file" in above.note
    assert above.pixels.mean(1).argmax() < above.size[1] / 2
    with pytest.raises(BadInput, match=r"eye\.fda#1: it has no block @IMG_FUNDUS"):
        read_image(Path(f"{path}#1"))
    whole = write_fda(tmp_path / "whole.fda", blocks).read_bytes()
    for size in (5, 40, 300, 1000):
        (tmp_path / "torn.fda").write_bytes(whole[:size])
        with pytest.raises(BadInput, match=r"torn\.fda#2: "):
            read_image(Path(f"{tmp_path / 'torn.fda'}#2"))


# What is refused, and what is said


@pytest.mark.parametrize(
    ("starts", "ends", "message"),
    [
        ([[0, 0]], [[1, 0]], "single line"),
        ([[0, 0], [0, 0]], [[1, 0], [1, 0]], "a circle or a star"),
        ([[0, 0], [0.5, -0.5]], [[1, 0], [0.5, 0.5]], "a circle or a star"),
        ([[0, 0], [0, np.nan]], [[1, 0], [1, 0]], "does not say where"),
    ],
)
def test_what_is_no_raster_has_no_view_from_above(starts: Any, ends: Any, message: str) -> None:
    volume = np.zeros((len(starts), 3, 4), np.uint8)
    with pytest.raises(BadInput, match=message):
        seen_from_above(volume, np.array(starts, float), np.array(ends, float), 0.25, None)


def test_vertical_lines_are_shown_level_and_never_mirrored() -> None:
    """Lines downwards from right to left are a retina turned by 90°; the other way, mirrored."""
    volume = np.zeros((3, 2, 4), np.uint8)
    volume[0] = 9
    x = np.array([[2.0, 0], [1, 0], [0, 0]])
    turned = seen_from_above(volume, x, np.add(x, [0, 4]), 1.0, 1.0)
    assert "its lines run at 90°" in turned.note
    assert turned.pixels[0].mean() == 9
    mirrored = seen_from_above(volume, x[::-1], np.add(x[::-1], [0, 4]), 1.0, 1.0)
    assert mirrored.pixels[-1].mean() == 9


@needs_eyepy
def test_what_cannot_be_read_is_named(
    vol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match=r"say which image: eye\.vol#1 for the fundus image"):
        read_image(vol)
    whole = write_e2e(tmp_path / "whole.e2e", e2e_scan(1, "R", 6)).read_bytes()
    for name, content in {
        "torn.vol#1": vol.read_bytes()[:900],
        "torn.e2e#2": whole[: len(whole) // 2],
        "empty.e2e#1": b"",
        "text.e2e#1": b"no export at all" * 30,
    }.items():
        (tmp_path / name.partition("#")[0]).write_bytes(content)
        with pytest.raises(BadInput, match=name.replace(".", r"\.")) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "eyepy", None)
    monkeypatch.setitem(sys.modules, "eyepy.io", None)
    with pytest.raises(BadInput, match=r"pip install 'imedbench\[vendor\]'"):
        read_image(Path(f"{vol}#1"))


def test_data_check_says_what_it_assumed(tmp_path: Path, cli: Callable[..., Any]) -> None:
    write_fda(tmp_path / "eye.fda", fda_blocks())
    (tmp_path / "pairs.csv").write_text("pair_id,fixed,moving\na,eye.fda#1,eye.fda#2\n")
    ended = cli("data", "check", tmp_path / "pairs.csv")
    assert ended.code == 0, ended.err
    said = " ".join(ended.out.split())
    assert "colour fundus image, OCT of 4 lines; pixels of 200 µm: a fixed" in said
    assert "OCT seen from above, 4 lines stretched to 11 px; pixels of 300 µm" in said
