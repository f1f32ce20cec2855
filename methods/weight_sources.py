"""Where a network's weights come from: ours, the authors' by the hub, or a file.

``retina`` ships with the package. ``official`` is fetched from the Hugging Face hub by
`transformers`, which caches it; it is never passed on. Anything else is the path of a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from imedbench.core.errors import BadInput
from imedbench.methods.licences import MAGIC_LEAP, NOTICES
from imedbench.methods.weights import check_finite

if TYPE_CHECKING:
    from torch import Tensor, nn

RETINA = "retina"
OFFICIAL = "official"
UNKNOWN = "unknown"

# Files that circulate under other names than their licence.
_KNOWN_FILES: Mapping[str, str] = {
    "52b6708629640ca883673b5d5c097c4ddad37d8048b33f09c8ca0d69db12c40e": MAGIC_LEAP,
}


@dataclass(frozen=True)
class Network:
    """A kind of network whose weights can be chosen.

    Args:
        shipped: name of our weight file.
        hub_name: repository on the hub.
        hub_class: class of `transformers` that reads it.
        hub_trained_on: what its authors trained it on.
    """

    shipped: str
    hub_name: str
    hub_class: str
    hub_trained_on: tuple[str, ...] = ()


SUPERPOINT = Network(
    "superpoint-retina",
    "magic-leap-community/superpoint",
    "SuperPointForKeypointDetection",
    ("coco/train",),
)
SUPERGLUE = Network(
    "superglue-128x5-retina",
    "magic-leap-community/superglue_outdoor",
    "SuperGlueForKeypointMatching",
    ("megadepth/train",),
)


@dataclass(frozen=True)
class Source:
    """What is known of weights before they are read into a network.

    Args:
        licence: SPDX name, ``unknown`` for a file nobody knows.
        trained_on: names of data sets.
        training_images: perceptual hashes of the images in them.
        ours: whether this project trained them, which it does on normalised images.
        revision: hash of the file, or name on the hub.
    """

    licence: str
    trained_on: tuple[str, ...] = ()
    training_images: tuple[str, ...] = ()
    ours: bool = False
    revision: str = ""


@dataclass(frozen=True, eq=False)
class State:
    """Weights as they were stored.

    Args:
        tensors: by parameter name, in whatever layout the source uses.
        arguments: what the network is to be built with, where the source says.
    """

    tensors: Mapping[str, Tensor]
    arguments: Mapping[str, Any] | None = None


def describe(network: Network, weights: str) -> Source:
    """Licence and training data of weights, without loading them.

    Args:
        network: which network.
        weights: ``retina``, ``official`` or a path.

    Raises:
        BadInput: when the file or our weights are missing.
    """
    if weights == OFFICIAL:
        return Source(MAGIC_LEAP, network.hub_trained_on, revision=network.hub_name)
    if weights == RETINA:
        from imedbench.methods.weights import read_card

        card = read_card(network.shipped)
        return Source(
            card.licence,
            card.trained_on,
            card.training_images,
            ours=True,
            revision=card.sha256[:16],
        )
    path = _existing(weights)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    beside = _card(path)
    if beside:
        seen, images = beside.trained_on, beside.training_images
        return Source(beside.licence, seen, images, ours=True, revision=digest[:16])
    return Source(_KNOWN_FILES.get(digest, UNKNOWN), revision=digest[:16])


def read(network: Network, weights: str) -> State:
    """Weights from wherever they are.

    Args:
        network: which network.
        weights: ``retina``, ``official`` or the path of a ``.pth``, ``.pt`` or ``.safetensors``
            file. Pickles are read with ``weights_only``: they cannot run code.

    Raises:
        BadInput: when they cannot be had, with what to do instead.
    """
    if weights == OFFICIAL:
        return _from_hub(network)
    if weights == RETINA:
        from imedbench.methods.weights import load, read_card

        return State(load(network.shipped).state_dict(), read_card(network.shipped).arguments)
    return _from_file(_existing(weights))


def fill(network: nn.Module, state: Mapping[str, Tensor], weights: str) -> None:
    """Put weights into a network.

    Raises:
        BadInput: when they are those of another network.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        kind = type(network).__name__
        raise BadInput(
            f"{weights}: these are no weights of this {kind}; name another file"
        ) from error


def _existing(weights: str) -> Path:
    path = Path(weights)
    if not path.is_file():
        raise BadInput(
            f"{weights}: no such weight file; give {RETINA}, {OFFICIAL} or the path of a .pth or"
            " .safetensors file"
        )
    return path


def _from_file(path: Path) -> State:
    card = _card(path)
    tensors = _tensors(path)
    check_finite(path, tensors)
    return State(tensors, card.arguments if card else None)


def _tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(_read(path, load_file))
    if path.suffix not in {".pth", ".pt"}:
        raise BadInput(f"{path}: not a .pth, .pt or .safetensors file")
    import torch

    tensors = _read(path, lambda p: torch.load(p, map_location="cpu", weights_only=True))
    if not isinstance(tensors, dict) or not all(torch.is_tensor(v) for v in tensors.values()):
        raise BadInput(f"{path}: holds no plain state dict of tensors; save model.state_dict()")
    return tensors


class _Beside(msgspec.Struct):
    """What is read of the card beside a weight file."""

    arguments: dict[str, Any] | None = None
    trained_on: tuple[str, ...] = ()
    training_images: tuple[str, ...] = ()
    licence: str = UNKNOWN


def _card(path: Path) -> _Beside | None:
    """What the card beside a weight file says; None without one."""
    card_path = path.with_suffix(".json")
    if not card_path.is_file():
        return None
    try:
        return msgspec.json.decode(card_path.read_bytes(), type=_Beside)
    except (msgspec.MsgspecError, RecursionError, OSError) as error:
        raise BadInput(f"{card_path}: no valid card ({error}); repair or delete it") from None


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except Exception as error:  # the readers share no class of error
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{path}: cannot be read as weights: {first_line}") from error


def _from_hub(network: Network) -> State:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise BadInput(
            "the official weights need one more package: pip install 'imedbench[hub]'"
        ) from error
    reader = getattr(transformers, network.hub_class)
    try:
        model = _cached_or_fetched(reader, network.hub_name)
    except OSError as error:
        raise BadInput(
            f"{network.hub_name}: not in the local cache and the Hugging Face hub cannot be"
            f" reached; run once with a connection, or use weights={RETINA}."
            f" ({NOTICES[MAGIC_LEAP]})"
        ) from error
    return State(model.state_dict())


def _cached_or_fetched(reader: Any, name: str) -> Any:
    """What is cached needs no network, whose time-outs take half a minute."""
    try:
        return reader.from_pretrained(name, local_files_only=True)
    except OSError:
        return reader.from_pretrained(name)
