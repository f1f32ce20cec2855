"""Whether a plugin keeps to its contract: what `imedbench check` runs, fault by fault."""

from __future__ import annotations

from pathlib import Path

from imedbench.core.errors import BadInput
from imedbench.core.options import PluginSpec
from imedbench.core.registry import DATASETS, METHODS, METRICS, Registry, load_plugin_file
from imedbench.runs.conformance.datasets import check_dataset
from imedbench.runs.conformance.findings import Fault, Limits, Report
from imedbench.runs.conformance.methods import check_method
from imedbench.runs.conformance.metrics import check_metric

__all__ = [
    "Fault",
    "Limits",
    "Report",
    "check_dataset",
    "check_method",
    "check_metric",
    "check_plugins",
]

_CHECKS = ((METHODS, check_method), (METRICS, check_metric), (DATASETS, check_dataset))


def check_plugins(what: str, limits: Limits | None = None) -> list[Report]:
    """Check the plugin of a name, or all that a file registers.

    Args:
        what: a name with its options, or the path of a Python file.
        limits: what a call may take.

    Raises:
        BadInput: when nothing has that name, or the file registers nothing.
        Declined: when a plugin says that it cannot run here.
    """
    if what.endswith(".py"):
        before = {registry: set(registry.names()) for registry, _ in _CHECKS}
        load_plugin_file(Path(what))
        asked = [
            (check, name)
            for registry, check in _CHECKS
            for name in sorted(set(registry.names()) - before[registry])
        ]
        if not asked:
            raise BadInput(
                f"{what}: registers no method, metric or data set; put @register_method(…),"
                " @register_metric(…) or @DATASETS.register(…) above a function or class"
            )
    else:
        name = PluginSpec.parse(what).name
        asked = [(check, what) for registry, check in _CHECKS if _is_known(registry, name)]
        if not asked:
            known = [n for registry, _ in _CHECKS for n in registry.names()]
            raise BadInput(Registry.unknown("method, metric or data set", name, known))
    return [check(name, limits) for check, name in asked]


def _is_known(registry: Registry, name: str) -> bool:
    return all(
        part in registry.names() or (registry.wrappers and part in registry.wrappers.names())
        for part in name.split("+")
    )
