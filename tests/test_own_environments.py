"""Rivals in environments of their own: what their programs make of what the packages return."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from imedbench.core.errors import BadInput
from imedbench.core.programs.answers import read_answer
from imedbench.core.programs.environments import read_environment
from imedbench.core.registry import METHODS
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, Registration
from imedbench.methods import own_environments
from imedbench.methods.estimators import registration_from_matches

PROGRAMS = Path(own_environments.__file__).parent / "programs"
MOVE = Affine.similarity(scale=1.1, rotation_deg=10, shift=(45, 5), centre=(55, 55))
FIXED, MOVING = np.zeros((120, 200, 3), np.uint8), np.zeros((150, 100), np.uint8)
PLACES = np.random.default_rng(0).uniform(25, 85, (30, 2))  # moving px
FACTS = {"seed": 1, "fixed": {"modality": "octa"}, "moving": {"modality": "cf"}}

Load = Callable[..., Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a program with a stand-in for the package that it is a program of."""

    def load(name: str, package: str, **contents: Any) -> Any:
        stub = ModuleType(package)
        vars(stub).update(contents)
        monkeypatch.setitem(sys.modules, package, stub)
        spec = importlib.util.spec_from_file_location(f"program_{name}", PROGRAMS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def check(answer: dict[str, Any], limit: float = 0.05) -> Registration:
    """The answer, once it has been seen to be the known motion."""
    arrays = {name: value for name, value in answer.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in answer.items() if name not in arrays}
    images = Image(FIXED), Image(MOVING)
    found = read_answer(
        {"type": "answer", **rest}, arrays, *images, estimate=registration_from_matches
    )
    assert found.fixed_from_moving is not None, found.reason
    np.testing.assert_allclose(
        found.fixed_from_moving.apply(PLACES), MOVE.apply(PLACES), atol=limit
    )
    return found


def in_square(points: np.ndarray, picture: np.ndarray, side: float) -> np.ndarray:
    """Where points of a picture are once it is resized to a square."""
    height, width = picture.shape[:2]
    return (points + 0.5) * [side / width, side / height] - 0.5


@pytest.mark.parametrize("transform", ["affine", "tps"])
def test_eyeliner_answers_in_px_of_the_images(transform: str, load: Load) -> None:
    side = 64
    moving = in_square(PLACES, MOVING, side)
    fixed = in_square(MOVE.apply(PLACES), FIXED, side)
    square = np.linalg.lstsq(np.column_stack([moving, np.ones(30)]), fixed, rcond=None)[0].T

    class Package:
        def get_corr_keypoints(self, first: Any, second: Any) -> Any:
            assert first.shape == second.shape == (1, 3, side, side)
            return torch.tensor(fixed)[None], torch.tensor(moving)[None]

        def KPRefiner(self, *points: Any) -> Any:  # noqa: N802
            return points

        def get_registration(self, kept_fixed: Any, kept_moving: Any) -> Any:
            matrix = np.vstack([square, [0, 0, 1]])
            if transform == "affine":
                return torch.tensor(matrix)[None]
            y, x = np.mgrid[:side, :side]
            pixels = np.column_stack([x.ravel(), y.ravel(), np.ones(x.size)])
            back = (pixels @ np.linalg.inv(matrix).T)[:, :2]
            grid = (2 * back + 1) / side - 1  # edges of the outer pixels at ±1
            return None, torch.tensor(grid.reshape(1, side, side, 2))

    program = load("eyeliner", "eyeliner")
    program.eyeliner, program.place = Package(), "cpu"
    found = check(program.register(FIXED, MOVING, transform, 1.0, side), limit=0.3)
    assert found.diagnostics.values == {"n_matches": 30, "n_inliers": 30}


def test_eyeliner_asks_for_the_licence_of_its_weights_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("IMEDBENCH_ACCEPT_LICENSE", raising=False)
    for spec in ("eyeliner", "ridge+eyeliner", "vismatch:model=superpoint-lightglue"):
        with pytest.raises(BadInput, match="Magic Leap's licence"):
            METHODS.create(spec)
    assert METHODS.create("vismatch:model=roma").options["model"] == "roma"


def test_matches_of_vismatch_meet_our_own_estimator(load: Load) -> None:
    def matcher(first: Any, second: Any) -> dict[str, np.ndarray]:
        sizes = [(tensor.shape[2], tensor.shape[1]) for tensor in (first, second)]
        assert max(sizes[0]) == max(sizes[1]) == 60
        return {
            f"matched_kpts{i}": (points + 0.5) * [s / n for s, n in zip(size, whole, strict=True)]
            - 0.5
            for i, (points, size, whole) in enumerate(
                zip((PLACES, MOVE.apply(PLACES)), sizes, ((100, 150), (200, 120)), strict=True)
            )
        }

    program = load(
        "vismatch", "vismatch", available_models=["roma"], get_matcher=lambda *_, **__: matcher
    )
    assert program.prepare("cpu", "rome", 10, 60) == "vismatch has no model 'rome'; it has roma"
    assert program.prepare("cpu", "roma", 10, 60) is None
    found = check(program.register(FIXED, MOVING, "roma", 10, 60))
    assert found.diagnostics.values["n_inliers"] == 30


def test_retinalysis_says_when_it_found_nothing(load: Load) -> None:
    class Package:
        final = True

        def __init__(self, quadratic: bool) -> None:
            self.kinds: list[str | None] = []
            self.all_matches, self.inliers = [1, 2], np.array([1, 0])

        def set_reference(self, image: np.ndarray, image_type: str | None) -> None:
            assert image.shape == (*MOVING.shape, 3)
            self.kinds.append(image_type)

        def set_target(self, image: np.ndarray, image_type: str | None) -> None:
            assert image.shape == FIXED.shape
            self.kinds.append(image_type)

        def run(self) -> Any:
            assert self.kinds == [None, "OCTA"]
            if self.final:
                self.final_matches = [1]
            return SimpleNamespace(apply=MOVE.apply)

    program = load("retinalysis", "rtnls_registration", Registration=Package)
    found = check(program.register(FIXED, MOVING, True, FACTS))
    assert found.diagnostics.values == {"n_matches": 2, "n_inliers": 1}
    Package.final = False
    refusal = program.register(FIXED, MOVING, True, FACTS)
    assert refusal == "no transform agrees with enough of the matches"


@pytest.mark.parametrize("file", sorted(PROGRAMS.glob("[a-z]*.py")), ids=lambda f: f.stem)
def test_every_program_says_what_it_needs_in_fixed_versions(file: Path) -> None:
    environment = read_environment(file)
    assert environment is not None
    assert any("==" in requirement for requirement in environment.everything)
    assert "imedbench" not in file.read_text().replace("[tool.imedbench]", "").split('"""')[2]
