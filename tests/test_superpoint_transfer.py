"""Wrappers round methods, and the modality transfer among them."""

import dataclasses

import numpy as np
import pytest
import torch

from imedbench.core.errors import BadInput
from imedbench.core.options import option_defaults, option_types
from imedbench.core.registry import Registry
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, MethodInfo, Registration
from imedbench.methods import transfer, vessel, weights
from imedbench.methods.networks.cyclegan import Generator


@pytest.fixture
def registries():
    """A registry of numbers and one of what can be done with them."""
    wrappers = Registry("wrapper", "none.such.wrappers")
    numbers = Registry("number", "none.such", wrappers)

    @numbers.register("plain")
    def plain(*, value: int = 3) -> int:
        return value

    @wrappers.register("twice")
    def twice(inner: int, *, plus: float = 0.0) -> float:
        return 2 * inner + plus

    return numbers


def test_wrapped_plugin_takes_the_options_of_both(registries):
    assert registries.create("twice+plain") == 6
    assert registries.create("twice+plain:value=5:plus=0.5") == 10.5
    assert registries.create("twice+twice+plain") == 12
    factory = registries.factory("twice+plain")
    assert option_types(factory) == {"value": int, "plus": float}
    assert option_defaults(factory) == {"value": 3, "plus": 0.0}


@pytest.mark.parametrize("name", ["twice+nothing", "nothing+plain", "twice+plain:size=2"])
def test_unknown_parts_of_a_name_are_refused(registries, name):
    with pytest.raises(BadInput, match=r"nothing|size"):
        registries.create(name)


class Remembers:
    """A method that keeps what it was shown."""

    info = MethodInfo("remembers", "keeps its images", "affine", trained_on=("a/train",))

    def prepare(self, device: str) -> None:
        self.device = device

    def register(self, fixed: Image, moving: Image) -> Registration:
        self.seen = fixed, moving
        return Registration(Affine([[1, 0, 0], [0, 1, 0]]))


class Negative(torch.nn.Module):
    """A transfer whose output is known."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[2] % 4 == 0
        assert x.shape[3] % 4 == 0
        return -x


def vessels(dark: bool) -> Image:
    """A grid of vessels on grey ground, 150×130."""
    y, x = np.mgrid[:130, :150]
    lines = np.exp(-(((x % 30) - 15) ** 2) / 8) + np.exp(-(((y % 40) - 20) ** 2) / 8)
    sign = -60 if dark else 60
    return Image(np.clip(120 + sign * lines, 0, 255).astype(np.uint8), "cf" if dark else "octa")


@pytest.fixture
def method(monkeypatch):
    card = weights.Card(
        architecture="cyclegan:Generator", arguments={}, task="t", trained_on=("b/train",)
    )
    monkeypatch.setattr(weights, "read_card", lambda name, *_: card)
    monkeypatch.setattr(weights, "load", lambda name, *_: Negative())
    found = transfer.ModalityTransfer(Remembers(), transfer_size=100)
    found.prepare("cpu")
    return found


def test_only_images_with_dark_vessels_are_transferred(method):
    fixed, moving = vessels(dark=False), vessels(dark=True)
    answer = method.register(fixed, moving)
    seen_fixed, seen_moving = method.method.seen
    assert seen_fixed is fixed
    assert seen_moving.modality == "octa"
    assert seen_moving.size == moving.size
    # The transfer negates, so dark vessels have become bright ones where they were.
    before, after = moving.grey().astype(float), seen_moving.grey().astype(float)
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] < -0.9
    assert list(answer.diagnostics.images) == ["fake_octa_moving"]


def test_info_names_both_parts(method):
    assert method.info.name == "transfer+remembers"
    assert method.info.trained_on == ("a/train", "b/train")
    assert method.info.weights_licence == "Apache-2.0"
    assert dataclasses.replace(method.info, name="x").family == "affine"


def test_a_real_generator_keeps_size_and_type():
    torch.manual_seed(0)
    image = vessels(dark=True)
    fov = np.ones(image.shape, bool)
    fov[:, :20] = False
    fake = transfer.fake_octa(Generator(width=4, blocks=1).eval(), image.grey(), fov, 90, "cpu")
    assert fake.shape == image.shape
    assert fake.dtype == np.uint8
    assert (fake[:, :20] == 0).all()


def test_a_method_on_vessel_maps_sees_maps_of_the_images_size():
    found = vessel.VesselMaps(Remembers())
    found.prepare("cpu")
    fixed, moving = vessels(dark=False), vessels(dark=True)
    answer = found.register(fixed, moving)
    for seen, image in zip(found.method.seen, (fixed, moving), strict=True):
        assert seen.modality == "vessels"
        assert seen.size == image.size
        on_lines = np.abs(image.grey().astype(int) - 120) > 40
        assert seen.pixels[on_lines].mean() > 4 * seen.pixels[~on_lines].mean()
    assert set(answer.diagnostics.images) == {"fixed_vessels", "moving_vessels"}
    assert found.info.name == "vessel+remembers"
    assert found.info.trained_on[0] == "a/train"
    assert "drive/train" in found.info.trained_on
