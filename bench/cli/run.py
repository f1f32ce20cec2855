"""`imedbench run`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from imedbench.cli.gathered import MethodOptions, takes
from imedbench.cli.options import (
    MAX_PROCESSES,
    AddressOption,
    ExecutorOption,
    MemoryOption,
    SplitChoice,
    SubsetChoice,
    WorkersOption,
    check_device,
    names,
    outcomes,
)

if TYPE_CHECKING:
    from imedbench.runs.config import RunConfig

DEFAULT_DATA = "synthetic"
# Repeatable to the bit, all of them; ecc is not.
DEFAULT_METHODS = "identity,sift,superpoint-superglue,imed"


@dataclass(kw_only=True)
class RunOptions(MethodOptions):
    """What `imedbench run` is told."""

    data: Annotated[
        str,
        typer.Option("--data", "-d", help="Data set by name, NAME:OPTION=VALUE, or path."),
    ] = DEFAULT_DATA
    split: Annotated[
        SplitChoice, typer.Option(help="CF with OCTA, OCTA with OCTA-like, or both.")
    ] = SplitChoice.BOTH
    methods: Annotated[
        str,
        typer.Option("--methods", "-m", help="Comma-separated; options as NAME:OPTION=VALUE."),
    ] = DEFAULT_METHODS
    metrics: Annotated[str, typer.Option(help="Comma-separated metrics, or all.")] = "all"
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Run folder; runs/DATA if left out", show_default=False),
    ] = None
    subset: Annotated[
        SubsetChoice, typer.Option(help="Pairs marked train or test, or all of them.")
    ] = SubsetChoice.ALL
    transfer_weights: Annotated[
        Path | None,
        typer.Option(help="Generator that makes the single-modal split, in place of the shipped."),
    ] = None
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many pairs a split.")] = (
        None
    )
    seed: Annotated[int, typer.Option(help="Base of every random number.")] = 0
    threads: Annotated[int, typer.Option(min=1, max=MAX_PROCESSES, help="Threads a worker.")] = 1
    workers: WorkersOption = 1
    executor: ExecutorOption = "processes"
    address: AddressOption = None
    diagnostics: Annotated[
        bool, typer.Option(help="Keep the pictures methods make, for the report.")
    ] = True
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Replace rows made in another way.")
    ] = False
    retry: Annotated[
        str, typer.Option(help="Outcomes to compute again: timeout,out_of_memory …")
    ] = ""
    memory: MemoryOption = None
    shard: Annotated[
        str | None,
        typer.Option(help="Part I/N of the pairs, for imedbench merge.", metavar="I/N"),
    ] = None
    swapped: Annotated[
        bool,
        typer.Option("--swapped", help="Register each pair both ways, for inverse_consistency."),
    ] = False
    page: Annotated[
        bool, typer.Option("--page/--no-page", help="Write report.html at the end.")
    ] = True

    def config(self) -> RunConfig:
        """Return the run that is meant; the plugins are loaded."""
        from imedbench.core.datasets import with_weights
        from imedbench.core.types import SPLITS, Split
        from imedbench.runs.config import RunConfig, default_folder
        from imedbench.runs.executors import Kind
        from imedbench.runs.shards import Shard

        methods = names(self.methods)
        plugins = self.ready(methods)
        part = Shard.parse(self.shard) if self.shard else None
        every = self.split is SplitChoice.BOTH
        # A cluster's machines may have what this one lacks.
        elsewhere = self.executor == "ray" and self.device.startswith("cuda")
        return RunConfig(
            data=with_weights(self.data, self.transfer_weights),
            methods=methods,
            out=self.out or default_folder(self.data, part),
            splits=SPLITS if every else (cast(Split, self.split.value),),
            subset=self.subset.value,
            limit=self.limit,
            seed=self.seed,
            device=self.device if elsewhere else check_device(self.device),
            threads=self.threads,
            workers=self.workers,
            executor=cast(Kind, self.executor),
            address=self.address,
            timeout_s=self.timeout,
            plugins=plugins,
            diagnostics=self.diagnostics,
            recompute=self.recompute,
            swapped=self.swapped,
            retry=outcomes(self.retry),
            memory_gib=self.memory,
            shard=part,
        )


@takes(RunOptions)
def run_command(options: RunOptions) -> None:
    """Run methods on pairs, score them and print the table. The same command again resumes.

    Examples:

    imedbench run

    imedbench run --data my/pairs.csv --methods identity,sift --out runs/mine
    """
    from imedbench.api.many_pairs import run_benchmark
    from imedbench.cli.score import ends_when_interrupted, show_run
    from imedbench.cli.terminal import ProgressBar, remarks
    from imedbench.core.registry import METRICS

    config = options.config()
    with ends_when_interrupted():
        run = run_benchmark(
            config,
            METRICS.names() if options.metrics == "all" else names(options.metrics),
            every_split=options.split is SplitChoice.BOTH,
            bar=ProgressBar,
            note=lambda text: remarks.print(f"note: {text}", style="dim", highlight=False),
        )
    show_run(run, page=options.page and not options.json, as_json=options.json)
