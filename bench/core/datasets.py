"""What a data set offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from imedbench.core.errors import BadInput
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
    """

    name: str
    summary: str
    version: str = "1"
    licence: str = "unknown"
    reference: str = ""


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
    """

    pair_id: str
    split: Split
    subset: str
    group: str
    fixed_modality: str
    moving_modality: str
    note: str = ""


@runtime_checkable
class Dataset(Protocol):
    """Pairs of images with what is known of them.

    A class may also offer ``recognises(path) -> bool`` as a static method: then a path given
    instead of a name opens it with the keyword argument ``root``.
    """

    @property
    def info(self) -> DatasetInfo:
        """What the data set is."""

    def refs(self, split: Split) -> Sequence[PairRef]:
        """The pairs of a split, in a fixed order, without reading images.

        Raises:
            MissingSplit: when the data set cannot offer that split.
        """

    def load(self, ref: PairRef) -> ImagePair:
        """Read one pair.

        Raises:
            BadInput: when a file is missing or not an image.
        """
