"""What a data set offers, and how one is opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from imedbench.core.decoding import split_page
from imedbench.core.errors import BadInput
from imedbench.core.options import PluginSpec, option_types
from imedbench.core.registry import DATASETS
from imedbench.core.translation import TranslatorInfo
from imedbench.core.types import ImagePair, Split


class MissingSplit(BadInput):
    """A data set has no pairs for the split asked for; the message says why."""


@dataclass(frozen=True)
class DatasetInfo:
    """What a data set is.

    Args:
        name: short name for tables.
        summary: one line.
        version: of its content; part of every result's key.
        licence: SPDX name or a short phrase.
        reference: citation or URL.
        translator: what makes the fixed images of the single-modal split, where they are made.
    """

    name: str
    summary: str
    version: str = "1"
    licence: str = "unknown"
    reference: str = ""
    translator: TranslatorInfo | None = None


@dataclass(frozen=True)
class PairRef:
    """A pair that has not been read yet.

    Args:
        pair_id: unique within its split.
        split: which of the splits it belongs to.
        subset: ``train`` or ``test``.
        group: eye or patient.
        fixed_modality: of the fixed image.
        moving_modality: of the moving image.
        note: a remark for reports.
        category: the data set's own class of the pair, such as FIRE's ``S``, ``P`` and ``A``.
    """

    pair_id: str
    split: Split
    subset: str
    group: str
    fixed_modality: str
    moving_modality: str
    note: str = ""
    category: str = ""


@runtime_checkable
class Dataset(Protocol):
    """Pairs of images with what is known of them.

    A class may also offer ``recognises(path) -> bool`` as a static method: then a path given
    instead of a name opens it with the keyword argument ``root``. And it may offer
    ``fingerprint(ref) -> str``, which tells without reading the images whether a pair can have
    changed, see `file_fingerprint`: then a finished run is resumed without reading a pair.
    """

    @property
    def info(self) -> DatasetInfo:
        """What the data set is."""

    def refs(self, split: Split) -> Sequence[PairRef]:
        """Return the pairs of a split, in a fixed order, without reading images.

        Raises:
            MissingSplit: when the data set cannot offer that split.
        """

    def load(self, ref: PairRef) -> ImagePair:
        """Read one pair.

        Raises:
            BadInput: when a file is missing or not an image.
        """


def file_fingerprint(files: Iterable[Path], *options: object) -> str:
    """Tell whether files can have changed, without reading them.

    It stays the same as long as no file's size, time of change or name does: a file that is written
    anew is noticed, also with its old time put back, and one that is only copied is read again.

    Args:
        files: everything that reading a pair opens.
        options: what else the pair is made from.

    Returns:
        Sixteen hexadecimal digits.
    """
    parts: list[object] = [*options]
    for file in files:
        try:
            stat = split_page(file)[0].stat()
            parts.append((file.name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
        except OSError:
            parts.append((file.name, "missing"))
    return hashlib.sha256(repr(parts).encode(errors="replace")).hexdigest()[:16]


def open_dataset(text: str) -> Dataset:
    """Open a data set by name, ``name:option=value``, or the path of its files.

    Args:
        text: for example ``synthetic:level=hard``, ``pairs.csv`` or ``imed:root=FOLDER``.

    Raises:
        BadInput: when the name is unknown, or no kind of data set recognises the path.

    Example:
        >>> open_dataset("no-such-set")
        Traceback (most recent call last):
        imedbench.core.errors.BadInput: there is no data set named 'no-such-set'; known: ...
    """
    if "/" in text and ":" not in text and not is_path(text):
        raise BadInput(f"{text}: no such file or folder")
    dataset: Dataset = DATASETS.create(_recognised(Path(text)) if is_path(text) else text)
    return dataset


def with_weights(text: str, transfer_weights: Path | None) -> str:
    """Add the generator that makes the single-modal split to the spec of a data set.

    Args:
        text: as for `open_dataset`.
        transfer_weights: file of the generator; None leaves the spec as it is.

    Raises:
        BadInput: when the data set is unknown or translates nothing.
    """
    if transfer_weights is None:
        return text
    spec = _recognised(Path(text)) if is_path(text) else PluginSpec.parse(text)
    if "transfer_weights" not in option_types(DATASETS.factory(spec.name)):
        raise BadInput(f"{text}: translates no image, so --transfer-weights means nothing to it")
    return str(PluginSpec(spec.name, {**spec.options, "transfer_weights": str(transfer_weights)}))


def is_path(text: str) -> bool:
    """Tell whether a text means files; a folder that happens to have a data set's name does not."""
    return text not in DATASETS.names() and os.path.exists(text)


def _recognised(path: Path) -> PluginSpec:
    """The kind of data set that a path is of."""
    for name in DATASETS.names():
        recognises = getattr(DATASETS.factory(name), "recognises", None)
        if recognises is not None and recognises(path):
            return PluginSpec(name, {"root": str(path)})
    raise BadInput(
        f"{path}: no known kind of data set; give a pairs.csv, a folder with one, or say which:"
        f" NAME:root={path}"
    )
