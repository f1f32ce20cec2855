"""imedbench: which registration method to trust on multi-modal retinal images."""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from imedbench.api import Alignment, Plot, Results, benchmark, conversions, register

__version__ = _version("imedbench")
__all__ = [
    "Alignment",
    "Plot",
    "Results",
    "__version__",
    "benchmark",
    "conversions",
    "register",
]


def __getattr__(name: str) -> _Any:
    """Import what is asked for only then, so that importing the package costs nothing."""
    if name in __all__:
        return getattr(_import_module("imedbench.api"), name)
    raise AttributeError(f"module 'imedbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
