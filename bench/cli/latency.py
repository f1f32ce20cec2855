"""`imedbench latency`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from imedbench.cli.options import (
    DeviceOption,
    JsonOption,
    PluginsOption,
    check_device,
    load_plugins,
    names,
)
from imedbench.cli.run import DEFAULT_DATA, DEFAULT_METHODS


class PrecisionChoice(StrEnum):
    """Number format of learned methods."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


def latency_command(
    methods: Annotated[
        str,
        typer.Option("--methods", "-m", help="Comma-separated; options as NAME:OPTION=VALUE."),
    ] = DEFAULT_METHODS,
    data: Annotated[
        str, typer.Option("--data", "-d", help="Data set by name, NAME:OPTION=VALUE, or path.")
    ] = DEFAULT_DATA,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs to take turns with.")] = 4,
    device: DeviceOption = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of the libraries.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Timed calls of each method.")] = 100,
    budget: Annotated[float, typer.Option(min=1, help="Stop after so many seconds.")] = 300.0,
    size: Annotated[
        int | None,
        typer.Option(min=16, help="Longer side of the images, px; as they are if unset."),
    ] = None,
    precision: Annotated[
        PrecisionChoice, typer.Option(help="Of learned methods.")
    ] = PrecisionChoice.FP32,
    batch: Annotated[
        list[int] | None, typer.Option("--batch", help="Batch size whose throughput to measure.")
    ] = None,
    workers: Annotated[int, typer.Option(hidden=True)] = 1,
    seed: Annotated[int, typer.Option(help="Of the order of calls.")] = 0,
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Measure how long methods take, alone and in shuffled rounds.

    Example:

    imedbench latency --methods sift,ecc --repeats 200 --size 512
    """
    from imedbench.cli.latency_table import measure, show_latency
    from imedbench.latency import LatencySettings, refuse_parallel

    load_plugins(plugin)
    refuse_parallel(workers)
    settings = LatencySettings(
        repeats=repeats,
        budget_s=budget,
        threads=threads,
        precision=precision.value,
        size=size,
        batches=tuple(batch or ()),
        seed=seed,
    )
    report = measure(names(methods), data, pairs, check_device(device), settings)
    show_latency(report, as_json=json)
