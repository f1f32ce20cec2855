"""`imedbench new`: a small package to start from."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imedbench.core.errors import BadInput


class PluginKind(StrEnum):
    """What can be written."""

    METHOD = "method"
    METRIC = "metric"
    DATASET = "dataset"


_PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "imedbench-NAME"
version = "0.1.0"
description = "A KIND for imedbench"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["imedbench"]

[project.entry-points."imedbench.KINDs"]
NAME = "MODULE"

[tool.setuptools]
py-modules = ["MODULE"]
"""

_README = """\
# imedbench-NAME

A KIND for [imedbench](https://pypi.org/project/imedbench/), in `MODULE.py`.

    pip install -e .
    pytest
    imedbench check NAME
    imedbench info NAME
"""

_CODE = {
    PluginKind.METHOD: '''\
"""NAME, a registration method for imedbench."""

from imedbench.core.methods import register_method
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, MethodInfo, Registration


@register_method(MethodInfo("NAME", "lays the middles of both images on each other", "affine"))
def register(fixed: Image, moving: Image, *, scale: float = 1.0) -> Registration:
    """Find the transform that brings ``moving`` onto ``fixed``.

    Args:
        fixed: the image whose frame is kept; its pixels are ``fixed.pixels``.
        moving: the image to be aligned.
        scale: of fixed pixels to moving pixels.
    """
    x, y = ((f - scale * m) / 2 for f, m in zip(fixed.size, moving.size, strict=True))
    return Registration(Affine([[scale, 0, x], [0, scale, y]]))
''',
    PluginKind.METRIC: '''\
"""NAME, a metric for imedbench."""

from imedbench.core.metrics import MetricInfo, RegisteredPair, register_metric


@register_metric(
    MetricInfo("NAME", "share of the fixed image that both show", higher_is_better=True)
)
def measure(case: RegisteredPair) -> float:
    """Measure one registered pair."""
    return float(case.overlap.mean())
''',
    PluginKind.DATASET: '''\
"""NAME, a data set for imedbench."""

from collections.abc import Sequence

import numpy as np

from imedbench.core.datasets import DatasetInfo, PairRef
from imedbench.core.registry import DATASETS
from imedbench.core.types import GroundTruth, Image, ImagePair, Split


@DATASETS.register("NAME")
class Data:
    """Bright squares, moved by (4, 2) px.

    Args:
        pairs: how many.
    """

    info = DatasetInfo("NAME", "bright squares, moved")

    def __init__(self, *, pairs: int = 2) -> None:
        self.pairs = pairs

    def refs(self, split: Split) -> Sequence[PairRef]:
        """List the pairs, the same in both splits."""
        names = [f"square-{number}" for number in range(self.pairs)]
        return [PairRef(name, split, "test", name, "cf", "octa") for name in names]

    def load(self, ref: PairRef) -> ImagePair:
        """Draw one pair."""
        place = np.array([30.0 + int(ref.pair_id.removeprefix("square-")), 26.0])
        truth = GroundTruth(moving_points=place[None], fixed_points=place[None] + [4.0, 2.0])
        fixed, moving = _square(place + [4.0, 2.0], "cf"), _square(place, "octa")
        return ImagePair(ref.pair_id, fixed, moving, truth, ref.group)


def _square(centre: np.ndarray, modality: str) -> Image:
    y, x = np.mgrid[:64, :64]
    inside = np.maximum(abs(x - centre[0]), abs(y - centre[1])) < 8
    return Image((200 * inside).astype(np.uint8), modality)
''',
}

_TESTS = {
    PluginKind.METHOD: """\
import MODULE
from imedbench.runs.conformance import check_method


def test_it_keeps_to_the_contract() -> None:
    assert MODULE.register
    assert check_method("NAME").faults == []
""",
    PluginKind.METRIC: """\
import MODULE
from imedbench.runs.conformance import check_metric


def test_it_keeps_to_the_contract() -> None:
    assert MODULE.measure
    assert check_metric("NAME").faults == []
""",
    PluginKind.DATASET: """\
import MODULE
from imedbench.runs.conformance import check_dataset


def test_it_keeps_to_the_contract() -> None:
    assert MODULE.Data
    assert check_dataset("NAME").faults == []
""",
}


def new_command(
    kind: Annotated[PluginKind, typer.Argument(help="What to write.", show_default=False)],
    name: Annotated[str, typer.Argument(help="How it is to be called.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the package; imedbench-NAME.")
    ] = None,
) -> None:
    """Write a small package with a method, metric or data set of your own, its test and README.

    Examples:

    imedbench new method my-method

    imedbench new metric my_metric --out packages/my_metric

    imedbench new dataset my-data
    """
    folder = write_package(kind, name, out or Path(f"imedbench-{name}"))
    typer.echo(f"{folder}: install it with pip install -e {folder}, then imedbench info {name}")


def write_package(kind: PluginKind, name: str, folder: Path) -> Path:
    """Write a package that brings one plugin.

    Args:
        kind: of the plugin.
        name: lower-case letters, digits and dashes; of a metric, underscores.
        folder: to be made.

    Raises:
        BadInput: when the name is none, or the folder holds something.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*", name):
        raise BadInput(f"{name!r}: a name is lower-case letters and digits, joined by - or _")
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder}: holds something already; name another folder by --out")
    module = "imedbench_" + name.replace("-", "_")
    files = {
        "pyproject.toml": _PROJECT,
        "README.md": _README,
        f"{module}.py": _CODE[kind],
        f"test_{name.replace('-', '_')}.py": _TESTS[kind],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        filled = text.replace("MODULE", module).replace("NAME", name).replace("KIND", kind.value)
        (folder / file).write_text(filled, encoding="utf-8")
    return folder
