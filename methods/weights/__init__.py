"""The weights that ship: half-precision safetensors with a card each.

A card (``NAME.json``) says which network the numbers belong to, what they were trained on and what
they were measured to do, so that a weight file is never a riddle.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from imedbench.core.errors import BadInput

if TYPE_CHECKING:
    from torch import nn

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of a weight file.

    Args:
        architecture: ``module:Class`` below ``imedbench.methods.networks``.
        arguments: what the class was built with.
        task: the training that made it.
        trained_on: data sets (``octa500/train`` …) it has seen.
        training_images: perceptual hashes of those images, which tell a copy by another name.
        steps: of training up to these weights; a step of adversaries counts once.
        seconds: time of training.
        seed: of the training.
        licence: SPDX name of the weights' licence.
        data_licence: what the owners of the training data ask for.
        figures: what was measured, by name.
        command: how to train it again.
        sha256: of the safetensors file.
    """

    architecture: str
    arguments: Mapping[str, Any]
    task: str
    trained_on: tuple[str, ...] = ()
    training_images: tuple[str, ...] = ()
    steps: int = 0
    seconds: float = 0.0
    seed: int = 0
    licence: str = "Apache-2.0"
    data_licence: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    command: str = ""
    sha256: str = ""


def names(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of the weight files in a folder, by default of those that ship."""
    return tuple(sorted(path.stem for path in folder.glob("*.safetensors")))


def find(text: str) -> tuple[str, Path]:
    """Name and folder of weights given by the name of shipped ones or by the path of a file.

    Raises:
        BadInput: when it looks like a path and there is no such file.
    """
    path = Path(text)
    if path.suffix != ".safetensors" and path.parent == Path():
        return text, FOLDER
    if not path.is_file():
        raise BadInput(f"{path}: no such weight file")
    if path.suffix != ".safetensors" or not path.with_suffix(".json").is_file():
        raise BadInput(
            f"{path}: give the .safetensors file of a training, with its card"
            f" {path.with_suffix('.json').name} beside it"
        )
    return path.stem, path.parent


def read_card(name: str, folder: Path = FOLDER) -> Card:
    """Return the card of a weight file.

    Raises:
        BadInput: when there is none of that name, or it does not hold what a card holds.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        found = ", ".join(names(folder)) or "none"
        raise BadInput(f"{path.name}: no weights of that name in {folder}, there are: {found}")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Card)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadInput(f"{path}: not the card of weights ({error})") from error


def load(name: str, folder: Path = FOLDER) -> nn.Module:
    """Return a network with its trained weights, in evaluation mode on the CPU.

    Args:
        name: of the weight file, without its ending.
        folder: where it lies.

    Returns:
        The network, float32.

    Raises:
        BadInput: when there is none of that name or the file is not what its card says.
    """
    from safetensors.torch import load as parse

    card = read_card(name, folder)
    path = folder / f"{name}.safetensors"
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise BadInput(f"{path}: not the file its card describes; install the package again")
    module, _, kind = card.architecture.partition(":")
    network: nn.Module = getattr(
        importlib.import_module(f"imedbench.methods.networks.{module}"), kind
    )(**card.arguments)
    tensors = parse(content)
    check_finite(path, tensors)
    network.load_state_dict(tensors)
    return network.float().eval()


def check_finite(path: Path, tensors: Mapping[str, Any]) -> None:
    """Refuse weights that a training which ran away has left: with them every answer is noise.

    Args:
        path: of their file.
        tensors: by name; what is no tensor of floating-point numbers is left alone.

    Raises:
        BadInput: naming the first one that holds NaN or infinity.
    """
    for name, tensor in tensors.items():
        if getattr(tensor, "is_floating_point", bool)() and not tensor.isfinite().all():
            raise BadInput(f"{path}: {name} holds NaN or infinity; take an earlier checkpoint")


def save(network: nn.Module, card: Card, path: Path) -> None:
    """Write a network's weights in half precision, and its card beside them.

    Args:
        network: floating-point tensors are stored as float16, others as they are.
        card: its ``sha256`` is filled in here.
        path: ``FOLDER/NAME.safetensors``.
    """
    from safetensors.torch import save as pack

    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    content = pack(tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    write_card(replace(card, sha256=hashlib.sha256(content).hexdigest()), path)


def write_card(card: Card, path: Path) -> None:
    """Write the card of a weight file beside it."""
    text = json.dumps(asdict(card), indent=2) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")
