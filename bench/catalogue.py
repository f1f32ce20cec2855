"""What there is: names and facts of every plugin."""

from __future__ import annotations

import inspect
import types
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any, Literal, get_args, get_origin

from imedbench.analysis.protocols import PROTOCOLS
from imedbench.core.datasets import DatasetInfo
from imedbench.core.errors import BadInput, ImedbenchError
from imedbench.core.options import option_defaults, option_types
from imedbench.core.registry import DATASETS, METHODS, METRICS, Registry
from imedbench.core.types import MethodInfo
from imedbench.runs.packages import with_package

REGISTRIES: dict[str, Registry] = {"methods": METHODS, "datasets": DATASETS, "metrics": METRICS}
_COLUMNS = {
    "methods": ("family", "weights_licence", "extra", "available"),
    "datasets": ("licence",),
    "metrics": ("unit", "higher_is_better", "needs"),
}


def overview(kind: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, summary and a few facts of every plugin of a kind.

    A plugin that cannot be used here is listed with the reason in place of its summary.

    Args:
        kind: ``methods``, ``datasets``, ``metrics`` or ``protocols``.
    """
    if kind == "protocols":
        return [(p.name, p.summary, {"source": p.source}) for p in PROTOCOLS.values()]
    registry = REGISTRIES[kind]
    return [(name, *_shown(registry, name, _COLUMNS[kind])) for name in registry.names()]


def _shown(registry: Registry, name: str, columns: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    try:
        facts = {**asdict(_info(registry, name)), "available": True}
    except ImedbenchError as error:
        facts = {**dict.fromkeys(columns, "–"), **_declared(registry, name), "available": False}
        facts["summary"] = f"cannot be used here: {error}"
    return facts["summary"], {c.replace("_", " "): _plain(facts[c]) for c in columns}


def _declared(registry: Registry, name: str) -> dict[str, Any]:
    """What a method says of itself even where it cannot be made; nothing for most."""
    with suppress(ImedbenchError):
        declared = getattr(registry.factory(name), "declared", None)
        return asdict(declared) if isinstance(declared, MethodInfo) else {}
    return {}


def describe(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return every fact of one plugin, and its options.

    Raises:
        BadInput: when nothing has that name.
        ImedbenchError: when it cannot be made here and says nothing of itself.
    """
    if name in PROTOCOLS:
        rule = PROTOCOLS[name]
        left_out = list(rule.excluded)
        return {
            "name": name,
            "kind": "protocol",
            "summary": rule.summary,
            "source": rule.source,
            **({"caveat": rule.caveat} if rule.caveat else {}),
            "excluded": left_out,
            "needs_landmarks": rule.needs_landmarks,
        }, []
    for kind, registry in REGISTRIES.items():
        # A wrapped method, transfer+sift, is not listed, but it is described like any other.
        if name in registry.names() or ("+" in name and registry.wrappers):
            facts = {"kind": kind.removesuffix("s"), **_facts(registry, name)}
            return {"name": name, **facts}, _options(registry, name)
    everything = [n for registry in REGISTRIES.values() for n in registry.names()]
    known = [*everything, *PROTOCOLS]
    raise BadInput(Registry.unknown("method, data set, metric or protocol", name, known))


def _facts(registry: Registry, name: str) -> dict[str, Any]:
    """All that is known of a plugin; of one that cannot be made here, what it says and why."""
    try:
        return asdict(_info(registry, name))
    except ImedbenchError as reason:
        declared = _declared(registry, name)
        if not declared:
            raise
        return {**declared, "available": f"no: {reason}"}


def _info(registry: Registry, name: str) -> Any:
    factory = registry.factory(name)
    # A data set that needs files declares its facts on the class, so that none need be opened.
    declared = getattr(factory, "info", None)
    if inspect.isclass(factory) and isinstance(declared, DatasetInfo):
        return declared
    info = registry.create(name).info
    return with_package(info, factory) if registry is METHODS else info


def _options(registry: Registry, name: str) -> list[dict[str, Any]]:
    factory = registry.factory(name)
    defaults = option_defaults(factory)
    return [
        {"name": option, "type": _type_name(kind), "default": defaults.get(option, "needed")}
        for option, kind in option_types(factory).items()
    ]


def _type_name(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        return _type_name(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return " | ".join(map(str, get_args(kind)))
    if get_origin(kind) is types.UnionType:
        return " | ".join(_type_name(arg) for arg in get_args(kind))
    if kind is bool:
        return "on | off"
    return "none" if kind is type(None) else str(getattr(kind, "__name__", kind))


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(sorted(value)) if isinstance(value, frozenset) else value
