"""`imedbench register`: one pair of one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imedbench.cli.options import (
    AcceptOption,
    DeviceOption,
    EnvOption,
    ForceOption,
    JsonOption,
    PluginsOption,
    TimeoutOption,
    check_device,
    load_plugins,
    note_acceptance,
    ready_environments,
)

NO_TRANSFORM, CRASHED = 1, 3  # exit codes


def register_command(
    fixed: Annotated[Path, typer.Argument(help="Image whose frame is kept.", show_default=False)],
    moving: Annotated[Path, typer.Argument(help="Image to align to it.", show_default=False)],
    method: Annotated[str, typer.Option("--method", "-m", help="NAME or NAME:OPTION=VALUE.")] = (
        "imed"
    ),
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "registered"
    ),
    fixed_modality: Annotated[str, typer.Option(help="cf, octa, fa, ir …")] = "unknown",
    moving_modality: Annotated[str, typer.Option(help="cf, octa, fa, ir …")] = "unknown",
    force: ForceOption = False,
    device: DeviceOption = "cpu",
    timeout: TimeoutOption = 60.0,
    plugin: PluginsOption = None,
    accept_license: AcceptOption = False,
    env: EnvOption = None,
    json: JsonOption = False,
) -> None:
    """Align one moving image to one fixed image.

    Writes warped.png, overlay.png, checkerboard.png and transform.json. Exit code 1 when the method
    finds no usable transform, 3 when it crashes.

    Example:

    imedbench register fundus.png octa.png --out aligned
    """
    from imedbench.cli.show import output, print_json, remarks
    from imedbench.core.images import read_image
    from imedbench.core.transforms import to_dict
    from imedbench.reports.single import check_folder, write_result
    from imedbench.runs.services import WorkerSettings
    from imedbench.runs.single import register_pair

    plugins = load_plugins(plugin)
    note_acceptance(accept_license)
    ready_environments(env, [method])
    check_folder(out, (fixed, moving), force=force)
    images = read_image(fixed, fixed_modality), read_image(moving, moving_modality)
    settings = WorkerSettings(method, plugins, check_device(device), warm_up=False)
    result = register_pair(*images, settings, timeout)
    facts = {
        "method": method,
        "outcome": str(result.outcome),
        "reason": result.reason,
        "confidence": result.confidence,
        "latency_ms": result.latency_ms,
        "fixed_size": images[0].size,
        "moving_size": images[1].size,
        "fixed_from_moving": result.transform and to_dict(result.transform),
    }
    files = write_result(out, *images, result.transform, facts, result.outcome)
    sure = "" if result.confidence is None else f", confidence {result.confidence:.2f}"
    if json:
        print_json({**facts, "files": files})
    elif files:
        took = f"{result.latency_ms:.0f} ms{sure}"
        output.print(f"{method}: {took}; wrote {', '.join(files)}", highlight=False)
    else:
        what = "no usable transform" if result.outcome.is_answer else str(result.outcome)
        remarks.print(f"{method}: {what}: {result.reason}{sure}", highlight=False)
    if not files:
        raise typer.Exit(NO_TRANSFORM if result.outcome.is_answer else CRASHED)
