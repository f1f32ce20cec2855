"""Weight files and their cards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from imedbench.core.errors import BadInput
from imedbench.methods import weights
from imedbench.methods.networks.unet import UNet


def saved(folder: Path) -> UNet:
    torch.manual_seed(0)
    net = UNet(widths=(2, 4)).eval()
    card = weights.Card(
        architecture="unet:UNet",
        arguments={"widths": [2, 4]},
        task="segmentation",
        trained_on=("drawn/train",),
        figures={"dice": 0.5},
    )
    weights.save(net, card, folder / "small.safetensors")
    return net


def test_what_is_saved_is_loaded_to_half_precision(tmp_path: Path) -> None:
    net = saved(tmp_path)
    loaded = weights.load("small", tmp_path)
    assert not loaded.training
    image = torch.rand(1, 1, 16, 16)
    assert loaded(image).dtype == torch.float32
    torch.testing.assert_close(loaded(image), net(image), atol=5e-3, rtol=0)
    assert weights.names(tmp_path) == ("small",)
    assert weights.read_card("small", tmp_path).trained_on == ("drawn/train",)


def test_another_file_than_the_card_says_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "small.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadInput, match="not the file its card describes"):
        weights.load("small", tmp_path)


def test_an_unknown_name_lists_what_there_is(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(BadInput, match="there are: small"):
        weights.load("smal", tmp_path)


@pytest.mark.parametrize("name", weights.names())
def test_every_shipped_file_loads_and_has_a_full_card(name: str) -> None:
    card = weights.read_card(name)
    assert card.trained_on
    assert card.figures
    assert card.command
    assert card.data_licence
    assert not any("/test" in data for data in card.trained_on)
    net = weights.load(name)
    assert all(torch.isfinite(tensor).all() for tensor in net.state_dict().values())


def test_shipped_files_fit_into_the_wheel() -> None:
    sizes = [path.stat().st_size for path in weights.FOLDER.glob("*.safetensors")]
    assert sum(sizes) <= 25e6


def test_cards_are_plain_json() -> None:
    for path in weights.FOLDER.glob("*.json"):
        assert json.loads(path.read_text())["sha256"]
