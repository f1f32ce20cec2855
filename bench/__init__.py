"""imedbench: which registration method to trust on multi-modal retinal images."""

from importlib import import_module as _import_module

TYPE_CHECKING = False  # as type checkers understand it, without importing typing
if TYPE_CHECKING:
    from imedbench.api import (
        AlignedSet,
        Alignment,
        Plot,
        Results,
        align,
        benchmark,
        conversions,
        register,
    )

    __version__: str

__all__ = [
    "AlignedSet",
    "Alignment",
    "Plot",
    "Results",
    "__version__",
    "align",
    "benchmark",
    "conversions",
    "register",
]


def __getattr__(name: str) -> object:
    """Import what is asked for only then, so that importing the package costs nothing."""
    if name == "__version__":
        return _import_module("importlib.metadata").version("imedbench")
    if name in __all__:
        return getattr(_import_module("imedbench.api"), name)
    raise AttributeError(f"module 'imedbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
