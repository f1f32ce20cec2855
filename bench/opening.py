"""From what a person types to an opened data set."""

from __future__ import annotations

from pathlib import Path

from imedbench.core.datasets import Dataset
from imedbench.core.errors import BadInput
from imedbench.core.options import PluginSpec, option_types
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
    path = Path(text)
    if path.exists():
        return _recognised(path)
    if "/" in text and ":" not in text:
        raise BadInput(f"{text}: no such file or folder")
    dataset: Dataset = DATASETS.create(_with_root(PluginSpec.parse(text)))
    return dataset


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


def _with_root(spec: PluginSpec) -> PluginSpec:
    """The spec itself, once it is sure that a data set that needs files was told where."""
    needs_root = "root" in option_types(DATASETS.factory(spec.name))
    if needs_root and "root" not in spec.options:
        raise BadInput(f"the data set {spec.name!r} needs its folder: {spec.name}:root=FOLDER")
    return spec
