"""From what a person types to an opened data set."""

from __future__ import annotations

from pathlib import Path

from imedbench.core.datasets import Dataset
from imedbench.core.errors import BadInput
from imedbench.core.options import PluginSpec
from imedbench.core.registry import DATASETS


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
    if is_path(text):
        return _recognised(Path(text))
    if "/" in text and ":" not in text:
        raise BadInput(f"{text}: no such file or folder")
    dataset: Dataset = DATASETS.create(text)
    return dataset


def is_path(text: str) -> bool:
    """Whether a text means files; a folder that happens to have a data set's name does not."""
    return text not in DATASETS.names() and Path(text).exists()


def _recognised(path: Path) -> Dataset:
    for name in DATASETS.names():
        recognises = getattr(DATASETS.factory(name), "recognises", None)
        if recognises is not None and recognises(path):
            dataset: Dataset = DATASETS.create(PluginSpec(name, {"root": str(path)}))
            return dataset
    raise BadInput(
        f"{path}: no known kind of data set; give a pairs.csv, a folder with one, or say which:"
        f" NAME:root={path}"
    )
