"""Colour fundus shown as OCTA: what the single-modal split is made of where nobody brings it.

Data sets must not know networks, so a translator is a plugin: an entry point of the group
``imedbench.translators`` names it. Every image is translated once and kept in the user's cache
folder, or below the folder that the environment variable ``IMEDBENCH_CACHE`` names.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imedbench.core.errors import BadInput
from imedbench.core.images import read_image, write_image
from imedbench.core.types import Image

CYCLEGAN = "cyclegan"  # name of the translator that ships
_BY = "fixed image translated by"
_RECIPE = "1"  # raise it when the same image and weights give another translation


@dataclass(frozen=True)
class TranslatorInfo:
    """What a translator is.

    Args:
        name: of its weights: a shipped one's, or the path of a file.
        weights: hash of the weight file.
        trained_on: names of data sets (``drive/train`` …) it has seen.
        training_images: perceptual hashes of the images it has seen.
    """

    name: str
    weights: str
    trained_on: tuple[str, ...] = ()
    training_images: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({self.weights})"

    @property
    def note(self) -> str:
        """What the note of a pair says whose fixed image was translated by it."""
        return f"{_BY} {self}"


class Translator(Protocol):
    """Turns one modality into another; made with the option ``weights: Path | None``."""

    @property
    def info(self) -> TranslatorInfo:
        """What it is, known without loading the network."""

    def translate(self, image: Image) -> Image:
        """Show a colour fundus as OCTA, in its size."""


def was_translated(note: str) -> bool:
    """Tell from the note of a pair whether its fixed image was translated for it."""
    return _BY in note


class FakeOcta:
    """Shows colour fundus as OCTA and keeps what was made.

    Args:
        weights: file of the generator, as ``imedbench train cyclegan`` writes it; the shipped one
            by default.

    Raises:
        BadInput: when there is no such file, or it is of another network.
    """

    def __init__(self, weights: Path | None = None) -> None:
        from imedbench.core.registry import TRANSLATORS

        self._translator: Translator = TRANSLATORS.factory(CYCLEGAN)(weights=weights)
        self.info = self._translator.info

    def __call__(self, image: Image) -> Image:
        """Translate an image, or give what it was translated to before.

        Raises:
            BadInput: when the cache folder cannot be written to.
        """
        kept = cache_folder() / "fake_octa" / f"{self._key(image)}.png"
        with contextlib.suppress(BadInput):  # none yet, or one that a full disk has torn
            return read_image(kept, "octa")
        made = self._translator.translate(image)
        _keep(made, kept)
        return made

    def _key(self, image: Image) -> str:
        start = f"{_RECIPE} {self.info.weights} {image.pixels.shape} "
        digest = hashlib.sha256(start.encode())
        digest.update(image.pixels.tobytes())
        return digest.hexdigest()[:32]


def cache_folder() -> Path:
    """Name the folder of what can be made again: ``$IMEDBENCH_CACHE`` or the user's cache."""
    import platformdirs

    named = os.environ.get("IMEDBENCH_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("imedbench")


def _keep(image: Image, path: Path) -> None:
    """Write the picture so that no other process ever sees half of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            unfinished = Path(folder) / path.name
            write_image(unfinished, image.pixels)
            unfinished.replace(path)
    except OSError as error:
        raise BadInput(
            f"{path.parent}: translated images cannot be kept there ({error.strerror}); set"
            " IMEDBENCH_CACHE to a folder that can be written to"
        ) from error
