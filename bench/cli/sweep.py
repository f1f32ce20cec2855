"""`imedbench sweep`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imedbench.cli.options import (
    DeviceOption,
    JsonOption,
    PluginsOption,
    check_device,
    load_plugins,
)
from imedbench.cli.options import names as split_names
from imedbench.cli.run import DEFAULT_METHODS


class Factor(StrEnum):
    """What grows."""

    ROTATION = "rotation"
    SCALE = "scale"
    OVERLAP = "overlap"
    BLUR = "blur"
    NOISE = "noise"
    LESIONS = "lesions"


STEPS = {
    Factor.ROTATION: "0,5,10,20,30,45,90,180",
    Factor.SCALE: "0.5,0.67,0.8,1,1.25,1.5,2",
    Factor.OVERLAP: "1,0.8,0.6,0.5,0.4,0.3",
    Factor.BLUR: "0,1,2,4,6",
    Factor.NOISE: "0,10,20,40,80",
    Factor.LESIONS: "0,0.5,1,2,3",
}


def sweep_command(
    factor: Annotated[Factor, typer.Argument(help="What grows.", show_default=False)],
    values: Annotated[
        str | None, typer.Option(help="Steps, comma-separated; sensible ones if left out.")
    ] = None,
    methods: Annotated[
        str, typer.Option("--methods", "-m", help="Comma-separated; options as NAME:OPTION=VALUE.")
    ] = DEFAULT_METHODS,
    pairs: Annotated[int, typer.Option(min=1, help="Synthetic eyes.")] = 13,
    level: Annotated[str, typer.Option(help="easy, imed, hard or fields.")] = "imed",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder; runs/sweep-FACTOR if left out")
    ] = None,
    device: DeviceOption = "cpu",
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Turn one difficulty up step by step and draw how methods bear it.

    Example:

    imedbench sweep rotation --methods sift,ecc --values 0,10,20,30
    """
    from dataclasses import asdict

    from imedbench.analysis.sweep import sweep
    from imedbench.cli.terminal import ProgressBar, number, output, print_json, print_table
    from imedbench.reports.page import write_sweep_page
    from imedbench.reports.sweep import write_sweep
    from imedbench.runs.config import RunConfig

    steps = numbers(values or STEPS[factor])
    folder = out or Path("runs") / f"sweep-{factor.value}"
    template = RunConfig(
        data=f"synthetic:level={level}:pairs={pairs}",
        methods=split_names(methods),
        out=folder,
        splits=("multi-modal",),
        device=check_device(device),
        plugins=load_plugins(plugin),
        diagnostics=False,
    )
    with ProgressBar("sweeping") as progress:
        swept = sweep(factor.value, steps, template, progress)
    pages = [write_sweep(swept, folder), write_sweep_page(swept, folder)]
    if json:
        print_json([asdict(point) for point in swept.points])
        return
    rows = [
        [
            f"{p.value:g}",
            p.method,
            f"{p.success.estimate:.0%}",
            f"{p.failures} of {p.n}",
            number(p.tre_median),
        ]
        for p in swept.points
    ]
    headers = [factor.value, "method", "within 5 px", "failures", "median TRE px"]
    print_table(f"{factor.value} on synthetic eyes", headers, rows)
    for page in pages:
        output.print(f"wrote {page}", highlight=False, soft_wrap=True)


def numbers(text: str) -> list[float]:
    """Comma-separated numbers.

    Raises:
        BadInput: when one is not.
    """
    from imedbench.core.errors import BadInput

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"--values {text!r}: numbers separated by commas, like 0,10,20") from None
