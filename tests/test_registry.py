"""The registry itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imedbench.core.errors import BadInput
from imedbench.core.methods import register_method
from imedbench.core.metrics import MetricInfo, register_metric
from imedbench.core.registry import METHODS, METRICS, Registry
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, MethodInfo, Registration


@pytest.fixture
def shapes() -> Registry:
    registry = Registry("shape", "imedbench.tests.nothing")

    @registry.register("circle")
    class Circle:
        def __init__(self, *, radius: float = 1.0) -> None:
            if radius <= 0:
                raise ValueError("the radius must be positive")
            self.radius = radius

    return registry


def test_plugins_are_built_by_name_with_options(shapes: Registry) -> None:
    assert shapes.names() == ["circle"]
    assert shapes.create("circle").radius == 1
    assert shapes.create("circle:radius=2.5").radius == 2.5


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("circel", "no shape named 'circel'; did you mean circle"),
        ("xyz", "no shape named 'xyz'; known: circle"),
        ("circle:radius=big", "not a number"),
        ("circle:radius=-1", "'circle:radius=-1' cannot be made: the radius must be positive"),
    ],
)
def test_what_cannot_be_built_is_bad_input(spec: str, message: str, shapes: Registry) -> None:
    with pytest.raises(BadInput, match=message):
        shapes.create(spec)


def test_a_taken_name_is_refused_and_its_owner_stays(shapes: Registry) -> None:
    owner = shapes.factory("circle")
    with pytest.raises(ValueError, match="'circle' is already taken by"):
        shapes.register("circle")(lambda: None)
    assert shapes.factory("circle") is owner


@pytest.mark.usefixtures("short_lived_plugins")
def test_a_decorated_function_is_a_method_and_stays_a_function() -> None:
    @register_method(MethodInfo("test-shift", "shifts", "affine"))
    def shift(fixed: Image, moving: Image, *, pixels: float = 1.0) -> Registration:
        return Registration(Affine([[1, 0, pixels], [0, 1, 0]]))

    method: Any = METHODS.create("test-shift:pixels=3")
    image = Image(np.zeros((4, 4), np.uint8))
    assert method.register(image, image).fixed_from_moving.apply([[0, 0]]).tolist() == [[3, 0]]
    assert shift(image, image).fixed_from_moving is not None
    with pytest.raises(BadInput, match="did you mean pixels"):
        METHODS.create("test-shift:pixel=3")


def test_a_taken_metric_names_the_module_to_blame() -> None:
    METRICS.factory("dice")
    with pytest.raises(ValueError, match=r"already taken by imedbench\.metrics\.catalogue"):
        register_metric(MetricInfo("dice", "another"))(lambda case: 0.0)
