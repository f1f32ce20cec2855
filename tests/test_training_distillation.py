"""The small vessel network learns what the large one finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("lightning")

from imedbench.datasets.synthetic.rendered_eyes import render_eyes
from imedbench.methods.networks.unet import UNet, VesselLines
from imedbench.methods.training.augment import Crop, fade, random_crop
from imedbench.methods.training.distillation import inherit, read_rendered, taught, wanted
from imedbench.methods.training.vessel_folders import VesselImage
from imedbench.methods.vessel_maps import evidence_map


class Knowing(nn.Module):
    """A teacher that finds bright pixels."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits, far from 0."""
        return (image - 0.5) * 1e3


@pytest.fixture
def image() -> VesselImage:
    plane = np.zeros((40, 60), np.float32)
    plane[:, 20:30] = 1
    vessels = np.zeros(plane.shape, np.bool_)
    vessels[10:20] = True
    fov = np.ones(plane.shape, np.bool_)
    fov[:5] = False
    return VesselImage("a", plane, fov, vessels)


def test_a_taught_image_mixes_the_mask_with_what_the_teacher_finds(image: VesselImage) -> None:
    target = taught(image, Knowing(), 0.25).target
    assert target[30, 25] == pytest.approx(0.25, abs=1e-3)  # the teacher alone
    assert target[15, 5] == pytest.approx(0.75, abs=1e-3)  # the mask alone
    assert target[15, 25] == pytest.approx(1, abs=1e-3)
    assert target[2, 25] == pytest.approx(0, abs=1e-3)  # outside the field of view
    np.testing.assert_array_equal(image.target, image.vessels)


def test_crops_show_the_target_and_not_the_mask(image: VesselImage) -> None:
    halved = taught(image, Knowing(), 1.0)
    crop = random_crop(halved, 32, (1.0, 1.0), np.random.default_rng(3))
    inside = crop.fov & (np.abs(crop.plane - 0.5) > 0.49)
    assert inside.sum() > 100
    assert np.abs(crop.vessels - crop.plane)[inside].mean() < 0.05


def test_inherited_levels_compute_what_those_of_the_teacher_do() -> None:
    torch.manual_seed(0)
    teacher = UNet((3, 4, 5, 6)).eval()
    for parameter in teacher.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    net = inherit(VesselLines((4, 5, 6)).eval(), teacher)
    ours = theirs = torch.rand(1, 4, 16, 16)
    for own, known in zip(net.down[1:], teacher.down[2:], strict=True):
        ours, theirs = own(ours), known(theirs)
    torch.testing.assert_close(ours, theirs)


def test_wanted_are_the_planes_of_the_filters_at_another_level(image: VesselImage) -> None:
    likely = image.vessels.astype(np.float32)
    planes = wanted(image.plane, likely)
    found = evidence_map(image.plane, likely, np.ones(likely.shape, np.bool_))
    inner = np.s_[..., 5:-5, 5:-5]
    clear = found.strength[inner] > 0.1
    assert clear.sum() > 100
    level = planes[0][inner][clear] / found.strength[inner][clear]
    np.testing.assert_allclose(level, level.mean(), rtol=1e-4)
    for plane, other in zip(planes[1:], found.double_angle, strict=True):
        np.testing.assert_allclose(plane[inner], level.mean() * other[inner], atol=1e-4)


def test_a_faded_crop_keeps_its_deviation_and_loses_its_contrast() -> None:
    rng = np.random.default_rng(0)
    vessels = (rng.random((64, 64)) < 0.5).astype(np.float32)
    plane = (0.5 + (vessels - 0.5) / 3).astype(np.float32)  # deviation 1/6
    crop = Crop(plane, vessels, np.ones(plane.shape, np.bool_))
    kept = []
    for noise in (0.05, 0.5):
        seen = fade(crop, (noise, noise), np.random.default_rng(3)).plane  # a draw without a blur
        assert seen.min() >= 0
        assert seen.max() <= 1
        assert seen.std() == pytest.approx(1 / 6, rel=0.05)
        kept.append(np.corrcoef(seen.ravel(), vessels.ravel())[0, 1])
    assert kept == pytest.approx([1 / np.hypot(1, 6 * n) for n in (0.05, 0.5)], abs=0.03)


def test_rendered_eyes_are_seen_by_the_devices_in_turn(tmp_path: Path) -> None:
    render_eyes(tmp_path, range(2))
    first, second = read_rendered(tmp_path)
    assert first.name.endswith("0/cf")
    assert second.name.endswith("1/octa")
    for image in (first, second):
        assert image.plane[image.vessels].mean() > image.plane[~image.vessels].mean() + 0.05
        np.testing.assert_array_equal(image.vessels, image.target > 0.5)
