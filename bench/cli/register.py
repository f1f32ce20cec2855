"""`imedbench register`: one pair of one's own images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imedbench.cli.gathered import MethodOptions, takes
from imedbench.cli.options import ForceOption, check_device

if TYPE_CHECKING:
    from imedbench.api import Alignment

NO_TRANSFORM, CRASHED = 1, 3  # exit codes


@dataclass(kw_only=True)
class RegisterOptions(MethodOptions):
    """What `imedbench register` is told."""

    fixed: Annotated[Path, typer.Argument(help="Image whose frame is kept.", show_default=False)]
    moving: Annotated[Path, typer.Argument(help="Image to align to it.", show_default=False)]
    method: Annotated[str, typer.Option("--method", "-m", help="NAME or NAME:OPTION=VALUE.")] = (
        "imed"
    )
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "registered"
    )
    fixed_modality: Annotated[str, typer.Option(help="cf, octa, fa, ir …")] = "unknown"
    moving_modality: Annotated[str, typer.Option(help="cf, octa, fa, ir …")] = "unknown"
    force: ForceOption = False


@takes(RegisterOptions)
def register_command(options: RegisterOptions) -> None:
    """Align one moving image to one fixed image.

    Writes warped.png, overlay.png, checkerboard.png and transform.json. Exit code 1 when the method
    finds no usable transform, 3 when it crashes.

    Example:

    imedbench register fundus.png octa.png --out aligned
    """
    from imedbench.api import register
    from imedbench.core.images import read_image
    from imedbench.reports.single import check_folder, write_result

    plugins = options.ready([options.method])
    check_folder(options.out, (options.fixed, options.moving), force=options.force)
    found = register(
        read_image(options.fixed, options.fixed_modality),
        read_image(options.moving, options.moving_modality),
        options.method,
        device=check_device(options.device),
        timeout_s=options.timeout,
        plugins=plugins,
    )
    facts = _facts(options.method, found)
    files = write_result(
        options.out, found.fixed, found.moving, found.transform, facts, found.outcome
    )
    _show(options, found, {**facts, "files": files})
    if not files:
        raise typer.Exit(NO_TRANSFORM if found.outcome.is_answer else CRASHED)


def _facts(method: str, found: Alignment) -> dict[str, Any]:
    """What is written of an alignment."""
    from imedbench.core.transforms import to_dict

    transform = found.transform or found.refused
    return {
        "method": method,
        "outcome": str(found.outcome),
        "reason": found.reason,
        "confidence": found.confidence,
        "latency_ms": found.latency_ms,
        "fixed_size": found.fixed.size,
        "moving_size": found.moving.size,
        "fixed_from_moving": transform and to_dict(transform),
    }


def _show(options: RegisterOptions, found: Alignment, facts: dict[str, Any]) -> None:
    """Print what came out, a failure to stderr."""
    from imedbench.cli.terminal import output, print_json, remarks

    sure = "" if found.confidence is None else f", confidence {found.confidence:.2f}"
    if options.json:
        print_json(facts)
    elif facts["files"]:
        took = f"{found.latency_ms:.0f} ms{sure}"
        wrote = ", ".join(facts["files"])
        output.print(f"{options.method}: {took}; wrote {wrote}", highlight=False)
    else:
        what = "no usable transform" if found.outcome.is_answer else str(found.outcome)
        remarks.print(f"{options.method}: {what}: {found.reason}{sure}", highlight=False)
