"""`imedbench export-network`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imedbench.cli.options import ForceOption
from imedbench.core.errors import BadInput


def export_network_command(
    weights: Annotated[
        str,
        typer.Argument(help="Name of shipped weights, or a .safetensors file.", show_default=False),
    ],
    out: Annotated[Path, typer.Argument(help="ONNX file to write.", show_default=False)],
    force: ForceOption = False,
) -> None:
    """Write a vessel network as an ONNX file, with the extra `onnx`.

    Example:

    imedbench export-network vessels vessels.onnx
    """
    from imedbench.cli.terminal import output
    from imedbench.methods.onnx_export import onnx_bytes
    from imedbench.runs.output import write_file

    if out.exists() and not force:
        raise BadInput(f"{out}: is there already; name another file, or add --force")
    write_file(out, onnx_bytes(weights))
    output.print(f"wrote {out}", highlight=False, soft_wrap=True)
