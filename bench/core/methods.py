"""Writing a method: the decorator for functions, and what identifies a method's code."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from imedbench.core.registry import METHODS
from imedbench.core.types import Image, MethodInfo, Registration

RegisterFunction = Callable[..., Registration]


@dataclass
class FunctionMethod:
    """A plain function as a method; its keyword-only arguments are the options."""

    info: MethodInfo
    function: RegisterFunction
    options: dict[str, Any] = field(default_factory=dict)

    def prepare(self, device: str) -> None:
        """Return a function has nothing to load."""

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Call the function."""
        return self.function(fixed, moving, **self.options)


def register_method(info: MethodInfo) -> Callable[[RegisterFunction], RegisterFunction]:
    """Make ``function(fixed, moving, *, option=…)`` a method, by decorating it.

    Example:
        >>> from imedbench.core.transforms import Affine
        >>> @register_method(MethodInfo("shift", "moves everything right", "affine"))
        ... def shift(fixed: Image, moving: Image, *, pixels: float = 1.0) -> Registration:
        ...     return Registration(Affine([[1, 0, pixels], [0, 1, 0]]))
        >>> METHODS.create("shift:pixels=3").options
        {'pixels': 3.0}
    """

    def store(function: RegisterFunction) -> RegisterFunction:
        def build(**options: Any) -> FunctionMethod:
            return FunctionMethod(info, function, options)

        # What `bind_options` and `imedbench info` read are the function's options, not **options.
        functools.update_wrapper(build, function)
        signature = inspect.signature(function)
        keywords = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
        build.__signature__ = signature.replace(parameters=keywords)  # type: ignore[attr-defined]
        METHODS.register(info.name)(build)
        return function

    return store
