"""Methods on a data set, functions of a notebook or script among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imedbench.api.one_pair import MethodLike
from imedbench.api.results import Results
from imedbench.core.errors import BadInput, ConfigDrift
from imedbench.core.options import suggest
from imedbench.core.progress import NullProgress, Progress
from imedbench.core.types import SPLITS, Split

if TYPE_CHECKING:
    from imedbench.analysis.run import Run
    from imedbench.runs.config import RunConfig

Bar = Callable[[str], AbstractContextManager[Progress]]  # of what is being done, by its title


def no_bar(title: str) -> AbstractContextManager[Progress]:
    """Show nothing."""
    return nullcontext(NullProgress())


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

    A function need not be in a file, nor a metric: it is kept in the run folder with what it uses,
    so that the processes, and a later ``imedbench run --plugin``, can load it. A script needs no
    guard of ``__main__``.

    Args:
        methods: names with their options, functions of two images that return a `Registration`
            (they are called as they are named), or method objects; one or several.
        data: name of a data set, or a path.
        out: run folder; ``runs/DATA`` if left out.
        splits: which to run; one that the data set lacks is left out.
        metrics: names; all by default.
        plugins: files with further methods and metrics.
        settings: others of `imedbench.runs.config.RunConfig`: ``limit``, ``seed``, ``workers``,
            ``timeout_s``, ``recompute`` …

    Raises:
        BadInput: for an unknown name, option, setting or data set, or a function that cannot be
            handed to another process.
        ConfigDrift: when the folder holds answers of other code or settings.
    """
    from imedbench.core.registry import METRICS
    from imedbench.runs.config import RunConfig, default_folder
    from imedbench.runs.handed_over import hand_over, hand_over_metric

    check_settings(settings)
    files = loaded(plugins)
    folder = Path(out) if out else default_folder(str(data))
    measured = tuple(metrics or METRICS.names())
    asked = methods if isinstance(methods, Sequence) and not isinstance(methods, str) else [methods]
    specs = []
    for method in asked:
        spec, kept = hand_over(method, folder)
        specs.append(spec)
        files += [kept] if kept else []
    files += filter(None, (hand_over_metric(name, folder) for name in measured))
    config = RunConfig(
        str(data), tuple(specs), folder, tuple(splits), plugins=tuple(files), **settings
    )
    try:
        run_benchmark(config, measured)
    except ConfigDrift as drift:
        raise in_python(drift) from drift
    return Results(folder)


def run_benchmark(
    config: RunConfig,
    metrics: Sequence[str],
    *,
    every_split: bool = True,
    bar: Bar = no_bar,
    note: Callable[[str], None] = lambda text: None,
) -> Run:
    """Run methods and score what they found: what `benchmark` and ``imedbench run`` do.

    Args:
        config: of the run.
        metrics: names.
        every_split: whether "all there are" is meant by the splits; if not, a missing one is an
            error.
        bar: makes the progress of what is being done.
        note: is told why a split is left out.

    Raises:
        BadInput: for an unknown name or option, or data that cannot be opened.
        ConfigDrift: when the folder holds answers of other code or settings.
        KeyboardInterrupt: after Ctrl-C, when the pairs in flight are finished and stored.
    """
    from imedbench.analysis.run import open_run, score_run
    from imedbench.core.datasets import open_dataset
    from imedbench.core.registry import METRICS
    from imedbench.runs.pairs import KeptPairs
    from imedbench.runs.plan import offered_splits
    from imedbench.runs.runner import run
    from imedbench.runs.scoring import Guard

    for name in metrics:
        METRICS.factory(name)
    dataset = KeptPairs(open_dataset(config.data))
    config, missing = offered_splits(config, dataset, every_split)
    for text in missing:
        note(text)
    with bar("running") as progress:
        run(config, dataset, progress)
    guard = Guard(config.execution, config.plugins, config.timeout_s, config.memory_gib)
    opened = open_run(config.out, dataset=dataset)
    with bar("scoring") as progress:
        score_run(opened, metrics, progress, guard)
    return opened


def check_settings(settings: dict[str, Any]) -> None:
    """Refuse settings that a run does not have.

    Raises:
        BadInput: for the first of them, with the closest name.
    """
    from imedbench.runs.config import RunConfig

    known = {field.name for field in fields(RunConfig)}
    for name in settings:
        if name not in known:
            raise BadInput(f"there is no setting {name!r}; {suggest(name, known)}")


def loaded(plugins: Sequence[str | Path]) -> list[Path]:
    """Import plugin files and return their paths."""
    from imedbench.core.registry import load_plugin_file

    files = [Path(plugin) for plugin in plugins]
    for file in files:
        load_plugin_file(file)
    return files


def in_python(drift: ConfigDrift) -> ConfigDrift:
    """Say what to do about it as Python has it."""
    text = str(drift).replace("--out", "out=…").replace("--force", "force=True")
    return ConfigDrift(text.replace("--recompute", "recompute=True"))
