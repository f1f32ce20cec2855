"""What several test files share: tiny data sets, troublesome methods, the command line in-process.

This file must stay in tests/: beside pyproject.toml it would put the checkout's own `datasets/` in
the way of other packages of that name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

from imedbench.core.images import write_image
from imedbench.core.registry import (
    DATASETS,
    METHODS,
    METRICS,
    PLUGIN_MODULE,
    load_plugin_file,
)
from imedbench.core.types import Image

# Whoever runs the tests may have set how wide tables are; here a pipe has 100 columns.
os.environ.pop("COLUMNS", None)
# No test makes an environment from a package registry.
os.environ["IMEDBENCH_OFFLINE"] = "1"

# How long a first call takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SIZE = 64  # px, side of the tiny images


def texture(seed: int, shape: tuple[int, ...] = (SIZE, SIZE)) -> np.ndarray:
    """Smooth random structure, uint8: enough for every method to work on."""
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return cv2.normalize(smooth, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.fixture(scope="module")
def troublesome() -> Path:
    """A plugin file whose methods act as the fixed image's modality says."""
    path = Path(__file__).parent / "plugins" / "troublesome.py"
    load_plugin_file(path)
    return path


@pytest.fixture(scope="session")
def act() -> Callable[[str], Image]:
    """A tiny image whose modality tells the troublesome method what to do."""
    return lambda what: Image(texture(0), what)


WriteManifest = Callable[..., Path]


@pytest.fixture(scope="session")
def write_manifest() -> WriteManifest:
    """Writes a pairs.csv with one pair an act: the moving image lies 2 px left of the fixed one."""

    def write(folder: Path, acts: Sequence[str], *, seed: int = 1) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["pair_id,fixed,moving,landmarks,fixed_modality,moving_modality,group"]
        for number, what in enumerate(acts):
            scene = texture(seed + number, (SIZE, SIZE + 2))
            write_image(folder / f"{number}-fixed.png", scene[:, :-2])
            write_image(folder / f"{number}-moving.png", scene[:, 2:])
            landmarks = "moving_x,moving_y,fixed_x,fixed_y\n8,9,10,9\n40,30,42,30\n20,50,22,50\n"
            (folder / f"{number}.csv").write_text(landmarks)
            files = f"{number}-fixed.png,{number}-moving.png,{number}.csv"
            lines.append(f"p{number},{files},{what},octa,eye-{number}")
        path = folder / "pairs.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture(scope="module", autouse=True)
def plugin_files_of_one_module() -> Iterator[None]:
    """Forgets afterwards what is not installed: other tests run all metrics there are."""
    yield
    for registry in (METHODS, METRICS, DATASETS):
        for name in registry.loaded():
            if not registry.is_installed(name):
                del registry._factories[name]
    for module in [name for name in sys.modules if name.startswith(PLUGIN_MODULE)]:
        del sys.modules[module]


@pytest.fixture
def short_lived_plugins() -> Iterator[None]:
    """Forgets afterwards what a test registers itself; what it made import stays registered."""
    registries = (METHODS, METRICS, DATASETS)
    before = [set(registry.names()) for registry in registries]
    yield
    for registry, names in zip(registries, before, strict=True):
        for name in set(registry.names()) - names:
            del registry._factories[name]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Runs the command line in this process."""
    from imedbench.__main__ import main

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["imedbench", *map(str, arguments)])
        capfd.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        captured = capfd.readouterr()
        assert isinstance(code, int)
        return Ended(code, captured.out, captured.err)

    return run
