"""`imedbench run` and `imedbench score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from imedbench.cli.options import (
    AcceptOption,
    DeviceOption,
    JsonOption,
    PluginsOption,
    RunFolder,
    SplitChoice,
    SubsetChoice,
    check_device,
    load_plugins,
    names,
    note_acceptance,
)

if TYPE_CHECKING:
    from imedbench.runs.config import RunConfig

DEFAULT_DATA = "synthetic"
# Repeatable to the bit, all of them; ecc is not.
DEFAULT_METHODS = "identity,sift,superpoint-superglue,imed"
INCOMPLETE = 3  # exit code


def run_command(
    data: Annotated[
        str,
        typer.Option("--data", "-d", help="Data set by name, NAME:OPTION=VALUE, or path."),
    ] = DEFAULT_DATA,
    split: Annotated[
        SplitChoice, typer.Option(help="CF with OCTA, OCTA with OCTA-like, or both.")
    ] = SplitChoice.BOTH,
    methods: Annotated[
        str,
        typer.Option("--methods", "-m", help="Comma-separated; options as NAME:OPTION=VALUE."),
    ] = DEFAULT_METHODS,
    metrics: Annotated[str, typer.Option(help="Comma-separated metrics, or all.")] = "all",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Run folder; runs/DATA if left out", show_default=False),
    ] = None,
    subset: Annotated[
        SubsetChoice, typer.Option(help="Pairs marked train or test, or all of them.")
    ] = SubsetChoice.ALL,
    transfer_weights: Annotated[
        Path | None,
        typer.Option(help="Generator that makes the single-modal split, in place of the shipped."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most this many pairs a split.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Base of every random number.")] = 0,
    device: DeviceOption = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads a worker.")] = 1,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes; with more than one no latency is reported.")
    ] = 1,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a pair may take.")] = 60.0,
    plugin: PluginsOption = None,
    accept_license: AcceptOption = False,
    diagnostics: Annotated[
        bool, typer.Option(help="Keep the pictures methods make, for the report.")
    ] = True,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Replace rows made in another way.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Run methods on pairs, score them and print the table. The same command again resumes.

    Examples:

    imedbench run

    imedbench run --data my/pairs.csv --methods identity,sift --out runs/mine
    """
    from imedbench.core.datasets import with_weights
    from imedbench.core.registry import METRICS
    from imedbench.core.types import SPLITS, Split
    from imedbench.runs.config import RunConfig, default_folder

    plugins = load_plugins(plugin)
    note_acceptance(accept_license)
    config = RunConfig(
        data=with_weights(data, transfer_weights),
        methods=names(methods),
        out=out or default_folder(data),
        splits=SPLITS if split is SplitChoice.BOTH else (cast(Split, split.value),),
        subset=subset.value,
        limit=limit,
        seed=seed,
        device=check_device(device),
        threads=threads,
        workers=workers,
        timeout_s=timeout,
        plugins=plugins,
        diagnostics=diagnostics,
        recompute=recompute,
    )
    chosen = tuple(METRICS.names()) if metrics == "all" else names(metrics)
    _run(config, chosen, every_split=split is SplitChoice.BOTH, as_json=json)


def score_command(
    run: RunFolder,
    metrics: Annotated[str, typer.Option(help="Comma-separated metrics, or all.")] = "all",
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Where the data set is now, if it moved.")
    ] = None,
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Score stored predictions again, with other metrics or a corrected ground truth.

    Example:

    imedbench score runs/synthetic --metrics tre_mean,dice
    """
    from imedbench.analysis.run import open_run
    from imedbench.core.registry import METRICS

    load_plugins(plugin)
    opened = open_run(run, data)  # it brings the run's own plugins, whose metrics are part of all
    chosen = tuple(METRICS.names()) if metrics == "all" else names(metrics)
    _score_and_show(opened, chosen, as_json=json)


def _run(config: RunConfig, metrics: tuple[str, ...], *, every_split: bool, as_json: bool) -> None:
    from imedbench.analysis.run import offered_splits, open_run
    from imedbench.cli.show import ProgressBar, remarks
    from imedbench.core.datasets import open_dataset
    from imedbench.core.registry import METRICS
    from imedbench.runs.runner import run

    for metric in metrics:
        METRICS.factory(metric)
    dataset = open_dataset(config.data)
    config, missing = offered_splits(config, dataset, every_split)
    for text in missing:
        remarks.print(f"note: {text}", style="dim", highlight=False)
    try:
        with ProgressBar("running") as progress:
            run(config, dataset, progress)
    except KeyboardInterrupt:
        remarks.print("interrupted; every finished pair is stored, the same command goes on")
        raise typer.Exit(INCOMPLETE) from None
    _score_and_show(open_run(config.out), metrics, as_json=as_json)


def _score_and_show(run: object, metrics: tuple[str, ...], *, as_json: bool) -> None:
    from imedbench.analysis.run import Run, score_run
    from imedbench.cli.results import show_results
    from imedbench.cli.show import ProgressBar

    assert isinstance(run, Run)
    with ProgressBar("scoring") as progress:
        score_run(run, metrics, progress)
    if not show_results(run, as_json=as_json):
        raise typer.Exit(INCOMPLETE)
