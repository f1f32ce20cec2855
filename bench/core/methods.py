"""Writing a method: the decorator for functions, and what identifies a method's code."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from imedbench.core.registry import METHODS
from imedbench.core.types import Image, Method, MethodInfo, Registration

RegisterFunction = Callable[..., Registration]


@dataclass(frozen=True, eq=False)
class PairToRegister:
    """One pair of a batch.

    Args:
        fixed: the image whose frame is kept.
        moving: the image to align to it.
        seed: of the random numbers for this pair, for `imedbench.core.randomness.seed_everything`.
    """

    fixed: Image
    moving: Image
    seed: int


@runtime_checkable
class BatchMethod(Method, Protocol):
    """A method that can work on several pairs at once.

    Runs hand it as many pairs as the ``batch_size`` of its info says for their device. Rows made
    so say that they were, and have no time of their own. When it raises, or for a pair whose answer
    is none, ``register`` is called.
    """

    def register_batch(self, pairs: Sequence[PairToRegister]) -> Sequence[Registration]:
        """Find the transform of each pair, in their order: the same as ``register`` finds.

        Args:
            pairs: of any sizes, also different ones. A method that draws random numbers draws those
                of each pair by its seed.
        """


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
