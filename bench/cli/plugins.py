"""`imedbench list` and `imedbench info`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from imedbench.cli.options import JsonOption, PluginsOption, load_plugins


class Kind(StrEnum):
    """What can be listed."""

    METHODS = "methods"
    DATASETS = "datasets"
    METRICS = "metrics"
    PROTOCOLS = "protocols"


def list_command(
    kind: Annotated[Kind, typer.Argument(help="What to list.", show_default=False)],
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """List what there is, built in and from plugins.

    Example:

    imedbench list methods --plugin my_method.py
    """
    from imedbench.catalogue import overview
    from imedbench.cli.terminal import print_json, print_table

    load_plugins(plugin)
    rows = overview(kind.value)
    if json:
        print_json([{"name": name, "summary": summary, **facts} for name, summary, facts in rows])
        return
    columns = list(rows[0][2]) if rows else []
    print_table(
        kind.value,
        ["name", *columns, "what it is"],
        [[name, *(str(facts[c]) for c in columns), summary] for name, summary, facts in rows],
    )


def info_command(
    name: Annotated[
        str, typer.Argument(help="A method, data set, metric or protocol.", show_default=False)
    ],
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Tell everything known of one method, data set, metric or protocol, with its options.

    Example:

    imedbench info sift
    """
    from imedbench.catalogue import describe
    from imedbench.cli.terminal import print_json, print_table

    load_plugins(plugin)
    facts, options = describe(name)
    if json:
        print_json({**facts, "options": options})
        return
    print_table(str(facts["name"]), ["fact", "value"], [[k, _fact(k, v)] for k, v in facts.items()])
    if options:
        rows = [[o["name"], o["type"], _text(o["default"])] for o in options]
        print_table(f"options, as {name}:OPTION=VALUE", ["option", "type", "default"], rows)


def _fact(name: str, value: Any) -> str:
    if name == "training_images" and value:
        return f"{len(value)}, by their perceptual hashes; --json has them"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(str, sorted(value))) or "–"
    return str(value) if value not in ("", None, {}) else "–"
