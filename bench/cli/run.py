"""`imedbench run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from imedbench.cli.options import (
    MAX_PROCESSES,
    AcceptOption,
    AddressOption,
    DeviceOption,
    EnvOption,
    ExecutorOption,
    JsonOption,
    MemoryOption,
    PluginsOption,
    SplitChoice,
    SubsetChoice,
    TimeoutOption,
    WorkersOption,
    check_device,
    load_plugins,
    names,
    note_acceptance,
    outcomes,
    ready_environments,
)

if TYPE_CHECKING:
    from imedbench.runs.config import RunConfig

DEFAULT_DATA = "synthetic"
# Repeatable to the bit, all of them; ecc is not.
DEFAULT_METHODS = "identity,sift,superpoint-superglue,imed"


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
    threads: Annotated[int, typer.Option(min=1, max=MAX_PROCESSES, help="Threads a worker.")] = 1,
    workers: WorkersOption = 1,
    executor: ExecutorOption = "processes",
    address: AddressOption = None,
    timeout: TimeoutOption = 60.0,
    plugin: PluginsOption = None,
    accept_license: AcceptOption = False,
    env: EnvOption = None,
    diagnostics: Annotated[
        bool, typer.Option(help="Keep the pictures methods make, for the report.")
    ] = True,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Replace rows made in another way.")
    ] = False,
    retry: Annotated[
        str, typer.Option(help="Outcomes to compute again: timeout,out_of_memory …")
    ] = "",
    memory: MemoryOption = None,
    shard: Annotated[
        str | None,
        typer.Option(help="Part I/N of the pairs, for imedbench merge.", metavar="I/N"),
    ] = None,
    swapped: Annotated[
        bool,
        typer.Option("--swapped", help="Register each pair both ways, for inverse_consistency."),
    ] = False,
    page: Annotated[
        bool, typer.Option("--page/--no-page", help="Write report.html at the end.")
    ] = True,
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
    from imedbench.runs.executors import Kind
    from imedbench.runs.shards import Shard

    plugins = load_plugins(plugin)
    note_acceptance(accept_license)
    ready_environments(env, names(methods))
    part = Shard.parse(shard) if shard else None
    config = RunConfig(
        data=with_weights(data, transfer_weights),
        methods=names(methods),
        out=out or default_folder(data, part),
        splits=SPLITS if split is SplitChoice.BOTH else (cast(Split, split.value),),
        subset=subset.value,
        limit=limit,
        seed=seed,
        # A cluster's machines may have what this one lacks.
        device=device if executor == "ray" and device.startswith("cuda") else check_device(device),
        threads=threads,
        workers=workers,
        executor=cast(Kind, executor),
        address=address,
        timeout_s=timeout,
        plugins=plugins,
        diagnostics=diagnostics,
        recompute=recompute,
        swapped=swapped,
        retry=outcomes(retry),
        memory_gib=memory,
        shard=part,
    )
    chosen = tuple(METRICS.names()) if metrics == "all" else names(metrics)
    _run(
        config,
        chosen,
        every_split=split is SplitChoice.BOTH,
        page=page and not json,
        as_json=json,
    )


def _run(
    config: RunConfig, metrics: tuple[str, ...], *, every_split: bool, page: bool, as_json: bool
) -> None:
    from imedbench.analysis.run import open_run
    from imedbench.cli.score import INCOMPLETE, score_and_show
    from imedbench.cli.show import ProgressBar, remarks
    from imedbench.core.datasets import open_dataset
    from imedbench.core.registry import METRICS
    from imedbench.runs.config import offered_splits
    from imedbench.runs.pairs import KeptPairs
    from imedbench.runs.runner import run
    from imedbench.runs.scoring import Guard

    for metric in metrics:
        METRICS.factory(metric)
    dataset = KeptPairs(open_dataset(config.data))
    config, missing = offered_splits(config, dataset, every_split)
    for text in missing:
        remarks.print(f"note: {text}", style="dim", highlight=False)
    try:
        with ProgressBar("running") as progress:
            run(config, dataset, progress)
    except KeyboardInterrupt:
        remarks.print("interrupted; every finished pair is stored, the same command goes on")
        raise typer.Exit(INCOMPLETE) from None
    guard = Guard(config.execution, config.plugins, config.timeout_s, config.memory_gib)
    opened = open_run(config.out, dataset=dataset)
    score_and_show(opened, metrics, guard, page=page, as_json=as_json)
