"""`imedbench latency`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.status import Status

from imedbench.cli.options import (
    DeviceOption,
    JsonOption,
    PluginsOption,
    check_device,
    load_plugins,
    names,
)
from imedbench.cli.run import DEFAULT_DATA, DEFAULT_METHODS
from imedbench.cli.terminal import number, output, print_json, print_table, remarks

if TYPE_CHECKING:
    from imedbench.analysis.statistics import Interval
    from imedbench.latency.measure import LatencyReport
    from imedbench.latency.summary import MethodLatency


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
    seed: Annotated[int, typer.Option(help="Of the order of calls.")] = 0,
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Measure how long methods take, alone and in shuffled rounds.

    Example:

    imedbench latency --methods sift,ecc --repeats 200 --size 512
    """
    from imedbench.core.datasets import open_dataset
    from imedbench.core.registry import METHODS
    from imedbench.latency.device import backend_for
    from imedbench.latency.measure import measure_latency
    from imedbench.latency.settings import LatencySettings

    load_plugins(plugin)
    settings = LatencySettings(
        repeats=repeats,
        budget_s=budget,
        threads=threads,
        precision=precision.value,
        size=size,
        seed=seed,
    )
    built = {spec: METHODS.create(spec) for spec in names(methods)}
    dataset = open_dataset(data)
    images = [dataset.load(ref) for ref in dataset.refs("multi-modal")[:pairs]]
    backend = backend_for(check_device(device))
    with Status("measuring; leave the machine alone", console=remarks):
        report = measure_latency(built, images, backend, settings)
    _show(report, as_json=json)


def _show(report: LatencyReport, *, as_json: bool) -> None:
    """Print the figures of every method and where its time goes."""
    from imedbench.runs.environment import device_name

    if as_json:
        print_json(report.to_dict())
        return
    headers = ["method", "p50 ms [95 %]", "p90 ms", "p95 ms", "first ms", "failed", "MiB"]
    rows = [_row(method) for method in report.methods]
    print_table(f"latency on {report.device}: {device_name(report.device)}", headers, rows)
    for method in report.methods:
        if method.skipped:
            remarks.print(f"{method.name}: not timed, {method.skipped}", highlight=False)
        if method.stages:
            stages = ", ".join(f"{name} {number(ms, 1)}" for name, ms in method.stages.items())
            output.print(f"{method.name}, median ms by stage: {stages}", highlight=False)
    _print_conditions(report)


def _row(method: MethodLatency) -> list[str]:
    times = method.registered if method.registered.n else method.failed
    failed = f"{method.failed.n} of {method.registered.n + method.failed.n}"
    return [
        method.name,
        _interval(times.p50),
        *(number(q.estimate, _decimals(q.estimate)) for q in (times.p90, times.p95)),
        number(method.first_call_ms, _decimals(method.first_call_ms)),
        failed,
        number(method.memory.host_call, 0),
    ]


def _interval(value: Interval) -> str:
    middle, low, high = (
        number(ms, _decimals(value.estimate)) for ms in (value.estimate, value.low, value.high)
    )
    return f"{middle} [{low}, {high}]" if value.is_bounded else middle


def _decimals(milliseconds: float) -> int:
    """Three digits say all that a time can."""
    return 0 if milliseconds >= 100 else 1 if milliseconds >= 10 else 2


def _print_conditions(report: LatencyReport) -> None:
    threads = ", ".join(f"{name} {count}" for name, count in report.threads.items())
    unsteady = [m.name for m in report.methods if not m.steady and not m.skipped]
    text = f"Rounds: {report.rounds}, methods shuffled in each. Threads: {threads}."
    if report.load_before is not None:
        text += f" Load before: {report.load_before:.1f}."
    if unsteady:
        text += f" Did not settle, so read with care: {', '.join(unsteady)}."
    output.print(text, style="dim", highlight=False)
