"""A method that a run is to use: found by its spec, with what its rows depend on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from imedbench.core.errors import BadInput, Declined, ImedbenchError
from imedbench.core.methods import BatchMethod
from imedbench.core.options import PluginSpec
from imedbench.core.registry import METHODS
from imedbench.core.types import MethodInfo
from imedbench.runs.packages import code_hash, with_package
from imedbench.runs.plugin_source import describe


@dataclass(frozen=True)
class MethodHandle:
    """A method that a run is to use.

    Args:
        spec: with its options sorted.
        factory: what builds it.
        code: hash of its source.
        info: what it is; None where it declines to be built here.
        in_batches: whether it can work on several pairs at once.
    """

    spec: str
    factory: Callable[..., Any]
    code: str
    info: MethodInfo | None
    in_batches: bool = False

    def batch_size(self, device: str) -> int:
        """Return how many pairs a call takes on a device."""
        sizes = self.info.batch_size if self.info is not None and self.in_batches else {}
        return max(1, sizes.get(device.partition(":")[0], 1))


def look_up(text: str) -> MethodHandle:
    """Find a method and make sure that its options fit.

    Raises:
        BadInput: when there is no such method or option.
    """
    spec = PluginSpec.parse(text)
    factory = METHODS.factory(spec.name)
    in_batches = False
    try:
        method = METHODS.create(spec)
        info, in_batches = method.info, isinstance(method, BatchMethod)
        if not isinstance(info, MethodInfo):
            raise BadInput(f"the method {text!r} has no info of the type MethodInfo")
        info = with_package(info, factory)
    except Declined:  # the worker meets the same and writes the reason into every row
        info = None
    except ImedbenchError:
        raise
    except Exception as error:  # a property of a stranger's
        raise BadInput(f"the method {text!r} cannot say what it is: {describe(error)}") from error
    return MethodHandle(str(spec), factory, code_hash(factory), info, in_batches)
