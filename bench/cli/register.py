"""`imedbench register`: one pair of one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imedbench.cli.options import (
    AcceptOption,
    DeviceOption,
    JsonOption,
    PluginsOption,
    check_device,
    load_plugins,
    note_acceptance,
)

NO_TRANSFORM = 1  # exit code


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
    device: DeviceOption = "cpu",
    plugin: PluginsOption = None,
    accept_license: AcceptOption = False,
    json: JsonOption = False,
) -> None:
    """Align one moving image to one fixed image.

    Writes warped.png, overlay.png, checkerboard.png and transform.json. Exit code 1 when the method
    finds no usable transform.

    Example:

    imedbench register fundus.png octa.png --out aligned
    """
    from imedbench.cli.show import output, print_json, remarks
    from imedbench.core.images import read_image
    from imedbench.reports.single import write_result
    from imedbench.runs.single import register_pair

    load_plugins(plugin)
    note_acceptance(accept_license)
    images = read_image(fixed, fixed_modality), read_image(moving, moving_modality)
    result = register_pair(*images, method, check_device(device))
    files = write_result(out, *images, result.fixed_from_moving, result.as_dict(), result.outcome)
    if json:
        print_json({**result.as_dict(), "files": files})
    elif files:
        took = f"{result.latency_ms:.0f} ms"
        output.print(f"{method}: {took}; wrote {', '.join(files)}", highlight=False)
    else:
        remarks.print(f"{method}: no usable transform: {result.reason}", highlight=False)
    if not files:
        raise typer.Exit(NO_TRANSFORM)
