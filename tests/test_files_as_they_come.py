"""Files as cameras and other programs write them, and what `data check` says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from imedbench.core.errors import BadInput
from imedbench.core.images import read_image, write_image

Cli = Callable[..., Any]
GREY = np.arange(60, dtype=np.uint8).reshape(6, 10) * 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright_as_their_exif_tag_says(
    orientation: int, tmp_path: Path
) -> None:
    stored = PIL.Image.fromarray(GREY)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    from PIL import ImageOps

    upright = np.asarray(ImageOps.exif_transpose(PIL.Image.open(tmp_path / "turned.png")))
    found = read_image(tmp_path / "turned.png")
    np.testing.assert_array_equal(found.pixels, upright)
    assert bool(found.note) == (orientation != 1)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_bit_files_are_scaled_by_the_bits_that_are_used(bits: int, tmp_path: Path) -> None:
    full = (1 << bits) - 1
    stored = np.linspace(0, full, 60).round().astype(np.uint16).reshape(6, 10)
    cv2.imwrite(str(tmp_path / "deep.png"), stored)
    found = read_image(tmp_path / "deep.png")
    np.testing.assert_array_equal(found.pixels, (stored * (255 / full)).round().astype(np.uint8))
    assert (f"{bits} bits used" in found.note) == (bits < 16)


def test_a_page_of_several_must_be_named(tmp_path: Path) -> None:
    pages = [PIL.Image.fromarray(GREY + n) for n in range(3)]
    path = tmp_path / "stack.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with pytest.raises(BadInput, match=r"stack\.tif: 3 pages; say which one, stack\.tif#1"):
        read_image(path)
    np.testing.assert_array_equal(read_image(Path(f"{path}#2")).pixels, GREY + 1)
    with pytest.raises(BadInput, match="there is no page 4"):
        read_image(Path(f"{path}#4"))


def test_check_lists_every_mistake_and_what_it_assumed(tmp_path: Path, cli: Cli) -> None:
    big = np.tile(GREY, (10, 8))
    write_image(tmp_path / "a.png", big)
    write_image(tmp_path / "b.png", big)
    cv2.imwrite(str(tmp_path / "deep.png"), big.astype(np.uint16) * 10)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 40)
    marks = "moving_x,moving_y,fixed_x,fixed_y\n1,2,3,4\n"
    (tmp_path / "outside.csv").write_text(marks + "5000,2,3,4\n")
    (tmp_path / "words.csv").write_text(marks + "1,2,3,four\n")
    lines = [
        "pair_id,fixed,moving,landmarks",
        "good,a.png,deep.png,",
        "gone,a.png,nowhere.png,",
        "broken,broken.png,b.png,",
        "outside,a.png,b.png,outside.csv",
        "words,a.png,b.png,words.csv",
        "good,a.png,b.png,",
    ]
    (tmp_path / "pairs.csv").write_text("\n".join(lines) + "\n")
    ended = cli("data", "check", str(tmp_path / "pairs.csv"))
    assert ended.code == 2
    said = " ".join(ended.out.split())
    for mistake in (
        "line 3: moving nowhere.png does not exist",
        "line 7: pair_id 'good' is already used in line 2",
        "broken.png",
        "outside",
        "words.csv, line 3: not four numbers",
    ):
        assert mistake in said
    assert said.count("mistake:") == 5
    assert "12 bits used" in said
