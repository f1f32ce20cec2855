"""Leaves the images where they are: what every method has to beat."""

from __future__ import annotations

from imedbench.core.methods import register_method
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, MethodInfo, Registration


@register_method(
    MethodInfo("identity", "leaves the moving image where it is: the score to beat", "identity")
)
def identity(fixed: Image, moving: Image) -> Registration:
    """Return the transform that changes nothing."""
    return Registration(Affine.identity())
