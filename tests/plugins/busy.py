"""A method that computes for a tenth of a second."""

from __future__ import annotations

from imedbench.core.methods import register_method
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, MethodInfo, Registration


@register_method(MethodInfo("busy", "adds numbers", "affine"))
def busy(fixed: Image, moving: Image, *, steps: int = 1_500_000) -> Registration:
    """Add up, as much every time."""
    total = 0
    for step in range(steps):
        total += step & 7
    return Registration(Affine([[1, 0, total % 3], [0, 1, 0]]))
