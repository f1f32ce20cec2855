"""DICOM files, floats and colour profiles, on files that are written here."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image as PilImage
from PIL import ImageCms
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, OphthalmicPhotography8BitImageStorage

from imedbench.core.datasets import open_dataset
from imedbench.core.decoding import read_picture
from imedbench.core.errors import BadInput
from imedbench.core.images import read_image

GREY = np.random.default_rng(0).integers(0, 255, (30, 40), np.uint8)
RGB = np.random.default_rng(1).integers(0, 255, (30, 40, 3), np.uint8)


def write_dicom(path: Path, pixels: np.ndarray, *, bits: int = 8, **tags: Any) -> Path:
    """An ophthalmic image as a camera would export it; frames come first in a 3-D grey array."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = OphthalmicPhotography8BitImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    data: Any = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    frames = 1 if colour or pixels.ndim == 2 else len(pixels)
    data.Modality = "OP"
    data.Rows, data.Columns = pixels.shape[:2] if frames == 1 else pixels.shape[1:]
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    data.BitsAllocated = 8 * pixels.itemsize
    data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, 0
    if colour:
        data.PlanarConfiguration = 0
    if frames > 1:
        data.NumberOfFrames = frames
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def test_a_photograph_is_read_with_its_colours_and_its_pixel_size(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "cf.dcm", RGB, PixelSpacing=[0.0125, 0.0125])
    image = read_image(path, "cf")
    np.testing.assert_array_equal(image.pixels, RGB)
    assert image.spacing_um == pytest.approx(12.5)
    assert image.note == "DICOM OP, 8 bits; pixels of 12.5 µm"


def test_stored_bits_are_the_range(tmp_path: Path) -> None:
    """A dark image of 12 bits stays dark: the file says what its range is."""
    deep = GREY.astype(np.uint16) * 4  # at most 1020 of 4095
    path = write_dicom(tmp_path / "deep.dcm", deep, bits=12)
    assert read_image(path).pixels.max() == round(int(deep.max()) * 255 / 4095)
    picture = read_picture(path)
    assert (picture.pixels.dtype, picture.bits) == (np.uint16, 12)
    np.testing.assert_array_equal(picture.pixels, deep)


def test_a_negative_is_turned_over(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "n.dcm", GREY, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_image(path).pixels, 255 - GREY)


def test_frames_are_chosen_by_their_number(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "two.dcm", np.stack([GREY, GREY[::-1]]))
    with pytest.raises(BadInput, match=r"2 pages; say which one, two\.dcm#1 … two\.dcm#2"):
        read_image(path)
    np.testing.assert_array_equal(read_image(Path(f"{path}#2")).pixels, GREY[::-1])
    with pytest.raises(BadInput, match="there is no page 3"):
        read_image(Path(f"{path}#3"))


def test_spacing_of_frames_and_oblong_pixels(tmp_path: Path) -> None:
    measures, group = pydicom.Dataset(), pydicom.Dataset()
    measures.PixelSpacing = [0.01, 0.01]
    group.PixelMeasuresSequence = [measures]
    path = write_dicom(tmp_path / "a.dcm", GREY, SharedFunctionalGroupsSequence=[group])
    assert read_image(path).spacing_um == pytest.approx(10)
    oblong = write_dicom(tmp_path / "b.dcm", GREY, PixelSpacing=[0.01, 0.02])
    image = read_image(oblong)
    assert image.spacing_um is None
    assert "20×10 µm, which are no squares" in image.note


def test_what_is_wrong_with_a_dicom_file_is_said_in_one_line(tmp_path: Path) -> None:
    whole = write_dicom(tmp_path / "whole.dcm", GREY).read_bytes()
    (tmp_path / "short.dcm").write_bytes(whole[:-200])
    (tmp_path / "head.dcm").write_bytes(whole[:200])
    report = pydicom.dcmread(io.BytesIO(whole))
    del report.PixelData
    report.Modality = "SR"
    report.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    for name, message in {
        "short": "can",
        "head": "has no image",
        "report": r"\(SR\) has no image",
    }.items():
        with pytest.raises(BadInput, match=message) as caught:
            read_image(tmp_path / f"{name}.dcm")
        assert f"{name}.dcm" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_data_check_says_what_it_assumed_and_spacing_reaches_the_truth(
    tmp_path: Path, cli: Callable[..., Any]
) -> None:
    write_dicom(tmp_path / "cf.dcm", GREY, PixelSpacing=[0.0125, 0.0125])
    cv2.imwrite(str(tmp_path / "octa.tif"), GREY.astype(np.float32) / 255)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("pair_id,fixed,moving\na,cf.dcm,octa.tif\n")
    ended = cli("data", "check", pairs)
    assert ended.code == 0, ended.err
    said = " ".join(ended.out.split())
    assert "DICOM OP, 8 bits; pixels of 12.5 µm: a fixed" in said
    assert "float32 file, 0 … 1 shown as 0 … 255: a moving" in said
    dataset = open_dataset(str(pairs))
    assert dataset.load(dataset.refs("multi-modal")[0]).truth.spacing_um == pytest.approx(12.5)


def test_floats_are_shown_by_their_range(tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    cv2.imwrite(str(path), np.array([[-2, 0, 2, np.nan]] * 2, np.float32))
    image = read_image(path)
    assert image.pixels.tolist() == [[0, 128, 255, 0]] * 2
    assert image.note.endswith("; 2 values are not finite and shown as black")
    cv2.imwrite(str(path), np.array([[0, 0.2, 0.5]] * 2, np.float32))
    assert read_image(path).pixels.tolist() == [[0, 51, 128]] * 2


def test_a_colour_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    """A profile whose red and green primaries are swapped: what is stored red is shown green."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = bytearray(srgb)
    tags = {bytes(swapped[i : i + 4]): i for i in range(132, 132 + 12 * swapped[131], 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    swapped[red + 4 : red + 8], swapped[green + 4 : green + 8] = (
        swapped[green + 4 : green + 8],
        swapped[red + 4 : red + 8],
    )
    named = bytes(swapped).replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
    picture = PilImage.new("RGB", (4, 4), (200, 10, 10))
    picture.save(tmp_path / "own.png", icc_profile=named)
    image = read_image(tmp_path / "own.png")
    assert image.pixels[0, 0].argmax() == 1
    assert "converted to sRGB" in image.note
    picture.save(tmp_path / "srgb.png", icc_profile=srgb)
    assert read_image(tmp_path / "srgb.png").pixels[0, 0].tolist() == [200, 10, 10]
