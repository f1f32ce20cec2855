"""Data as people really have it, damaged: one clear line each, exit 2, nothing half written."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imedbench.core.errors import BadInput
from imedbench.core.images import read_image
from imedbench.core.pairs_file import read_landmarks, read_pairs

Cli = Callable[..., Any]
GREY = np.random.default_rng(0).integers(20, 235, (64, 64), np.uint8)


def encoded(ending: str, pixels: np.ndarray = GREY) -> bytes:
    return bytes(cv2.imencode(ending, pixels)[1])


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be of a size and holds nothing."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


IMAGES: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello",
    "zeros": bytes(5000),
    "html": b"<html>404</html>",
    "signature": encoded(".png")[:8],
    "half png": encoded(".png")[:1500],
    "half tiff": encoded(".tif")[:1500],
    "half jpeg": encoded(".jpg")[:300],
    "flipped": bytes(b ^ 0x55 if 60 < n < 90 else b for n, b in enumerate(encoded(".png"))),
    "giant": png_header(20_000, 20_000),
    "absurd": png_header(2**31 - 1, 2**31 - 1),
    "no rows": png_header(10, 0),
    "dot": encoded(".png", GREY[:1, :1]),
    "line": encoded(".png", GREY[:1]),
    "column": encoded(".tif", GREY[:, :1]),
    "dicom head": bytes(128) + b"DICM",
    "dicom noise": bytes(128) + b"DICM" + bytes(range(256)) * 8,
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_a_damaged_image_is_one_line(
    name: str, ending: str, tmp_path: Path, cli: Cli, recwarn: pytest.WarningsRecorder
) -> None:
    good, bad = tmp_path / "good.png", tmp_path / f"bad{ending}"
    good.write_bytes(encoded(".png"))
    bad.write_bytes(IMAGES[name])
    ended = cli("register", good, bad, "--method", "identity", "--out", tmp_path / "out")
    assert ended.code == 2
    lines = ended.err.strip().splitlines()
    assert len(lines) == 1
    assert str(bad) in lines[0]
    assert not (tmp_path / "out").exists()
    assert not recwarn.list


def test_the_size_limit_is_named(tmp_path: Path) -> None:
    (tmp_path / "giant.png").write_bytes(IMAGES["giant"])
    with pytest.raises(BadInput, match="more than 100 million pixels, which is the limit"):
        read_image(tmp_path / "giant.png")


MANIFESTS: dict[str, bytes] = {
    "empty": b"",
    "nul": b"pair_id,fixed,moving\na,\0,b\n",
    "one cell": b'"' + b"x" * 200_000 + b'"\n',
    "utf-16": "pair_id,fixed,moving\n".encode("utf-16"),
    "semicolons": b"pair_id;fixed;moving\na;b;c\n",
    "folder as image": b"pair_id,fixed,moving\na,.,.\n",
    "absent drive": b"pair_id,fixed,moving\na,/no/such/a.png,C:\\b.png\n",
    "long name": b"pair_id,fixed,moving\na," + b"x" * 5000 + b",b\n",
    "open quote": b'pair_id,fixed,moving\na,"good.png,good.png\n',
    "page of nothing": b"pair_id,fixed,moving\na,good.png#9,good.png\n",
    "page zero": b"pair_id,fixed,moving\na,good.png#0,good.png\n",
    "spacing": b"pair_id,fixed,moving,spacing_um\na,good.png,good.png,1e999\n",
    "far landmark": b"pair_id,fixed,moving,landmarks\na,good.png,good.png,far.csv\n",
    "nan landmark": b"pair_id,fixed,moving,landmarks\na,good.png,good.png,nan.csv\n",
    "image as landmarks": b"pair_id,fixed,moving,landmarks\na,good.png,good.png,good.png\n",
    "landmarks as mask": b"pair_id,fixed,moving,fixed_vessels\na,good.png,good.png,far.csv\n",
    "grey mask": b"pair_id,fixed,moving,fixed_vessels\na,good.png,good.png,dim.png\n",
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_wrong_manifest_is_checked_without_a_traceback(
    name: str, tmp_path: Path, cli: Cli
) -> None:
    (tmp_path / "good.png").write_bytes(encoded(".png"))
    (tmp_path / "dim.png").write_bytes(encoded(".png", np.full((64, 64), 9, np.uint8)))
    header = "moving_x,moving_y,fixed_x,fixed_y\n"
    (tmp_path / "far.csv").write_text(f"{header}1,2,3,4\n1e300,2,3,4\n")
    (tmp_path / "nan.csv").write_text(f"{header}1,2,3,nan\n")
    (tmp_path / "pairs.csv").write_bytes(MANIFESTS[name])
    ended = cli("data", "check", tmp_path / "pairs.csv")
    assert ended.code == 2
    assert "Traceback" not in ended.out + ended.err
    assert str(tmp_path) in "".join((ended.out + ended.err).split()) or "landmark" in ended.out


IMED: dict[str, dict[str, bytes]] = {
    "zero matrix": {"GT_OCTA_to_CF/1_OCTA_to_CF_affine.txt": b"0 0 0\n0 0 0\n0 0 1\n"},
    "singular matrix": {"GT_OCTA_to_CF/1_OCTA_to_CF_affine.txt": b"1 1 0\n1 1 0\n0 0 1\n"},
    "singular inverse": {"GT_CF_to_OCTA/1_CF_to_OCTA_affine.txt": b"1 1 0\n1 1 0\n0 0 1\n"},
    "huge matrix": {"GT_OCTA_to_CF/1_OCTA_to_CF_affine.txt": b"1e300 0 0\n0 1e300 0\n"},
    "binary matrix": {"GT_OCTA_to_CF/1_OCTA_to_CF_affine.txt": bytes(range(256))},
    "far landmarks": {"Ground_Truth_Ts/1Fundus_OCTA_points.txt": b"1 2 3 4\n1e300 2 3 4\n"},
    "both parts": {
        "CF_train/1Fundus.png": encoded(".png"),
        "OCTA_train/1OCTA.png": encoded(".png"),
    },
    "no partner": {"CF_ts/2Fundus.png": encoded(".png")},
    "torn image": {"OCTA_ts/1OCTA.png": encoded(".png")[:99]},
    "word": {"CF_ts/xFundus.png": encoded(".png")},
    "torn fake": {"fake_OCTA/1fake.png": b""},
}


@pytest.mark.parametrize("name", IMED)
def test_a_wrong_imed_tree_is_checked_without_a_traceback(
    name: str, tmp_path: Path, cli: Cli
) -> None:
    files = {"CF_ts/1Fundus.png": encoded(".png"), "OCTA_ts/1OCTA.png": encoded(".png")}
    for file, content in {**files, **IMED[name]}.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(content)
    ended = cli("data", "check", f"imed:root={tmp_path}")
    assert ended.code == 2
    assert "Traceback" not in ended.out + ended.err
    assert "mistake: " in ended.out


TEXT = st.text(string.printable + "äß\0﻿", max_size=200)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(TEXT, st.binary(max_size=200)))
def test_no_text_breaks_the_readers(text: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    for head in (b"", b"pair_id,fixed,moving\n", b"moving_x,moving_y,fixed_x,fixed_y\n"):
        path.write_bytes(head + content)
        for read in (read_pairs, read_landmarks):
            message = ""
            try:
                read(path)
            except BadInput as error:
                message = str(error)
            assert "\n" not in message


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from([".png", ".tif", ".jpg", ".bmp", ".dcm"]),
    cuts=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6),
    length=st.integers(0, 6000),
)
def test_no_damage_breaks_reading_an_image(
    kind: str, cuts: list[tuple[int, int]], length: int, tmp_path: Path
) -> None:
    content = bytearray(
        bytes(128) + b"DICM" + bytes(range(200)) if kind == ".dcm" else encoded(kind)
    )
    for place, value in cuts:
        content[place % len(content)] = value
    path = tmp_path / f"image{kind}"
    path.write_bytes(bytes(content[:length]))
    message, image = "", None
    try:
        image = read_image(path)
    except BadInput as error:
        message = str(error)
    assert "\n" not in message
    assert image is None or image.pixels.dtype == np.uint8


@pytest.mark.parametrize("spec", ["size=999999999", "pairs=999999999999", "size=-1", "seed=x"])
def test_absurd_synthetic_sets_are_refused(spec: str, tmp_path: Path, cli: Cli) -> None:
    ended = cli(
        *("run", "--data", f"synthetic:{spec}", "--methods", "identity", "--out", tmp_path / "r"),
        *("--metrics", "tre_mean"),
    )
    assert ended.code == 2
    assert len(ended.err.strip().splitlines()) == 1
