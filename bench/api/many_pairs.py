"""Methods on a data set, functions of a notebook or script among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from imedbench.api.one_pair import MethodLike
from imedbench.api.results import Results
from imedbench.core.errors import BadInput, ConfigDrift
from imedbench.core.options import suggest
from imedbench.core.types import SPLITS, Split


def benchmark(
    methods: MethodLike | Sequence[MethodLike],
    data: str | Path = "synthetic",
    out: str | Path | None = None,
    *,
    splits: Sequence[Split] = SPLITS,
    metrics: Sequence[str] | None = None,
    plugins: Sequence[str | Path] = (),
    **settings: Any,
) -> Results:
    """Run methods on pairs, in processes of their own, and score them; goes on where it stopped.

    A function need not be in a file: it is kept in the run folder with what it uses, so that the
    processes, and a later ``imedbench run --plugin``, can load it. A script needs no guard of
    ``__main__``.

    Args:
        methods: names with their options, functions of two images that return a `Registration`
            (they are called as they are named), or method objects; one or several.
        data: name of a data set, or a path.
        out: run folder; ``runs/DATA`` if left out.
        splits: which to run; one that the data set lacks is left out.
        metrics: names; all by default.
        plugins: files with further methods.
        settings: others of `imedbench.runs.config.RunConfig`: ``limit``, ``seed``, ``workers``,
            ``timeout_s``, ``recompute`` …

    Raises:
        BadInput: for an unknown name, option, setting or data set, or a function that cannot be
            handed to another process.
        ConfigDrift: when the folder holds answers of other code or settings.
    """
    from imedbench.analysis.run import open_run, score_run
    from imedbench.core.datasets import open_dataset
    from imedbench.core.registry import METRICS, load_plugin_file
    from imedbench.runs.config import RunConfig, default_folder, offered_splits
    from imedbench.runs.handed_over import hand_over
    from imedbench.runs.pairs import KeptPairs
    from imedbench.runs.runner import run
    from imedbench.runs.scoring import Guard

    for name in settings:
        if name not in (known := {field.name for field in fields(RunConfig)}):
            raise BadInput(f"there is no setting {name!r}; {suggest(name, known)}")
    files = [Path(plugin) for plugin in plugins]
    for file in files:
        load_plugin_file(file)
    measured = _in_files(metrics or METRICS.names())
    data = str(data)
    folder = Path(out) if out else default_folder(data)
    dataset = KeptPairs(open_dataset(data))
    asked = methods if isinstance(methods, Sequence) and not isinstance(methods, str) else [methods]
    specs = []
    for method in asked:
        spec, kept = hand_over(method, folder)
        specs.append(spec)
        files += [kept] if kept else []
    config = RunConfig(data, tuple(specs), folder, tuple(splits), plugins=tuple(files), **settings)
    try:
        run(offered_splits(config, dataset, every_split=True)[0], dataset)
    except ConfigDrift as drift:
        advice = str(drift).replace("--out", "out=…").replace("--recompute", "recompute=True")
        raise ConfigDrift(advice) from drift
    guard = Guard(config.execution, tuple(map(Path, plugins)), config.timeout_s, config.memory_gib)
    score_run(open_run(folder, dataset=dataset), measured, guard=guard)
    return Results(folder)


def _in_files(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics, once it is sure that other processes find them."""
    from imedbench.core.registry import INTERACTIVE, METRICS

    for name in metrics:
        if METRICS.factory(name).__module__ == INTERACTIVE:
            raise BadInput(
                f"the metric {name!r} is measured in another process: write it to a file and name"
                " that one as plugins=[…], or leave it out of metrics=[…]"
            )
    return tuple(metrics)
