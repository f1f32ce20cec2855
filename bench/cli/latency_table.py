"""The latency measurement behind the command, and its table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.status import Status

from imedbench.analysis.statistics import Interval
from imedbench.cli.show import number, output, print_json, print_table, remarks
from imedbench.core.datasets import open_dataset
from imedbench.core.registry import METHODS
from imedbench.latency import (
    LatencyReport,
    LatencySettings,
    MethodLatency,
    backend_for,
    measure_latency,
)
from imedbench.runs.environment import device_name


def measure(
    methods: Sequence[str], data: str, pairs: int, device: str, settings: LatencySettings
) -> LatencyReport:
    """Build the methods, read the pairs and measure.

    Raises:
        BadInput: for unknown methods or data.
    """
    built = {spec: METHODS.create(spec) for spec in methods}
    dataset = open_dataset(data)
    images = [dataset.load(ref) for ref in dataset.refs("multi-modal")[:pairs]]
    with Status("measuring; leave the machine alone", console=remarks):
        return measure_latency(built, images, backend_for(device), settings)


def show_latency(report: LatencyReport, *, as_json: bool) -> None:
    """Print the figures of every method and where its time goes."""
    if as_json:
        print_json(report.to_dict())
        return
    headers = ["method", "calls", "p50 ms", "p90 ms", "p95 ms", "first ms", "failed", "MiB"]
    rows = [_row(method) for method in report.methods]
    print_table(f"latency on {report.device}: {device_name(report.device)}", headers, rows)
    for method in report.methods:
        if method.skipped:
            remarks.print(f"{method.name}: not timed, {method.skipped}", highlight=False)
        if method.stages:
            stages = ", ".join(f"{name} {number(ms, 1)}" for name, ms in method.stages.items())
            output.print(f"{method.name}, median ms by stage: {stages}", highlight=False)
        for one in method.throughput:
            rate = number(one.pairs_per_s, 1)
            output.print(f"{method.name}, batch {one.batch}: {rate} pairs/s", highlight=False)
    _print_conditions(report)


def _row(method: MethodLatency) -> list[str]:
    times = method.registered if method.registered.n else method.failed
    failed = f"{method.failed.n} of {method.registered.n + method.failed.n}"
    return [
        method.name,
        str(times.n),
        *(_interval(q) for q in (times.p50, times.p90, times.p95)),
        number(method.first_call_ms, 1),
        failed,
        number(method.memory.host_call, 0),
    ]


def _interval(value: Interval) -> str:
    if not value.is_bounded:
        return number(value.estimate, 1)
    return f"{number(value.estimate, 1)} [{number(value.low, 1)}, {number(value.high, 1)}]"


def _print_conditions(report: LatencyReport) -> None:
    threads = ", ".join(f"{name} {count}" for name, count in report.threads.items())
    unsteady = [m.name for m in report.methods if not m.steady and not m.skipped]
    text = f"Rounds: {report.rounds}, methods shuffled in each. Threads: {threads}."
    if report.load_before is not None:
        text += f" Load before: {report.load_before:.1f}."
    if unsteady:
        text += f" Did not settle, so read with care: {', '.join(unsteady)}."
    output.print(text, style="dim", highlight=False)
