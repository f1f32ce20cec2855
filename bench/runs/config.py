"""What a run was asked to do, and the guard against mixing two different runs in one folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from imedbench.core.datasets import Dataset, is_path
from imedbench.core.errors import BadInput, ConfigDrift, unusable
from imedbench.core.options import PluginSpec, option_types
from imedbench.core.registry import DATASETS
from imedbench.core.types import Outcome, Split
from imedbench.runs.environment import device_name
from imedbench.runs.executors import Execution, Kind
from imedbench.runs.files import write_atomically
from imedbench.runs.shards import Shard

FILE = "run.json"
Subset = Literal["all", "train", "test"]


@dataclass(frozen=True)
class RunConfig:
    """A benchmark run.

    Args:
        data: spec of a registered data set, or a path one of them recognises.
        methods: specs of methods.
        out: the run folder.
        splits: which splits.
        subset: which part of the data set.
        limit: at most this many pairs a split.
        seed: base of every random number.
        device: ``cpu`` or ``cuda``.
        threads: for the numerical libraries of a worker.
        workers: processes; with more than one no latency is reported.
        timeout_s: longest time for a pair.
        plugins: files with further plugins.
        diagnostics: whether to keep the pictures that methods make.
        recompute: whether to replace rows that were made in another way.
        swapped: whether to register every pair the other way round as well.
        retry: outcomes whose rows are computed again, beside those that are no answers.
        memory_gib: most memory a worker may take; None for nearly all the machine has.
        shard: which part of the pairs to run; None for all of them.
        executor: where calls are made, see `imedbench.runs.executors.Execution`.
        address: of the Ray cluster, for ``ray``.
    """

    data: str
    methods: tuple[str, ...]
    out: Path
    splits: tuple[Split, ...]
    subset: Subset = "all"
    limit: int | None = None
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    workers: int = 1
    timeout_s: float = 60.0
    plugins: tuple[Path, ...] = ()
    diagnostics: bool = True
    recompute: bool = False
    swapped: bool = False
    retry: frozenset[Outcome] = frozenset()
    memory_gib: float | None = None
    shard: Shard | None = None
    executor: Kind = "processes"
    address: str | None = None

    @property
    def execution(self) -> Execution:
        """Where the calls are made, and how many at a time."""
        return Execution(self.executor, self.workers, self.address)


def default_folder(data: str, shard: Shard | None = None) -> Path:
    """Tell where a run of a data set goes if nobody says.

    Args:
        data: spec or path of the data set.
        shard: part of the pairs, for a folder of its own.

    Example:
        >>> str(default_folder("synthetic:level=hard"))
        'runs/synthetic-level-hard'
        >>> str(default_folder("synthetic", Shard(2, 8)))
        'runs/synthetic-2-of-8'
    """
    path = Path(data).resolve()
    if path.exists():
        name = path.parent.name if path.is_file() else path.name
    else:
        name = re.sub(r"[^A-Za-z0-9.]+", "-", data).strip("-")
    return Path("runs") / (f"{name}-{shard.number}-of-{shard.of}" if shard else name)


def has_drifted(config: RunConfig, dataset: Dataset) -> bool:
    """Tell whether a run folder's rows were made with other settings and may be thrown away.

    Adding methods, splits or metrics to a run is fine; what every row depends on must not change.

    Raises:
        ConfigDrift: when they may not: names the setting, both values and the ways out.
    """
    stored = read_run(config.out)["config"] if (config.out / FILE).is_file() else {}
    if stored:
        stored.setdefault("shard", None)
    for name, now in fixed_settings(config, dataset).items():
        before = stored.get(name, now)
        if before != now and not config.recompute:
            raise ConfigDrift(
                f"{config.out}: holds results for {name} = {before}, now {now} is asked for; give"
                " another --out, or --recompute to replace them"
            )
        if before != now:
            return True
    return False


def fixed_settings(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """Return the settings that every row of a run folder must share."""
    return {
        "data": data_identity(config.data),
        "data_version": dataset.info.version,
        "subset": config.subset,
        "limit": config.limit,
        "seed": config.seed,
        "device": config.device,
        # Latencies of two machines must not end in one column.
        "processor": device_name(config.device),
        "threads": config.threads,
        "timeout_s": config.timeout_s,
        "shard": str(config.shard) if config.shard else None,
    }


def data_identity(data: str) -> str:
    """Spell the data set's spec in one way, its paths absolute: it means the same from anywhere."""
    if is_path(data):
        return os.path.abspath(data)
    spec = PluginSpec.parse(data)
    types = option_types(DATASETS.factory(spec.name))
    options = {
        name: os.path.abspath(value) if types.get(name) in (Path, Path | None) else value
        for name, value in spec.options.items()
    }
    return str(PluginSpec(spec.name, options))


def write_run(
    config: RunConfig,
    dataset: Dataset,
    provenance: dict[str, Any],
    *,
    pairs: str = "",
    code: Mapping[str, str] | None = None,
) -> None:
    """Write ``run.json``: the settings, and on what machine and software they were used.

    Args:
        config: the settings.
        dataset: the opened data set.
        provenance: of the machine and the software.
        pairs: digest of which pairs all shards together cover.
        code: hash of the source of each method.
    """
    before = read_run(config.out) if (config.out / FILE).is_file() else {"plugins": []}
    content = {
        "config": fixed_settings(config, dataset),
        "plugins": sorted(
            {*before["plugins"], *(os.path.abspath(plugin) for plugin in config.plugins)}
        ),
        "provenance": provenance,
        "pairs": pairs,
        "code": {**before.get("code", {}), **(code or {})},
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(config.out / FILE, text.encode())


def read_run(folder: Path) -> dict[str, Any]:
    """Read ``run.json``.

    Raises:
        BadInput: when it is missing or not what `write_run` wrote.
    """
    path = folder / FILE
    if not path.is_file():
        raise BadInput(f"{folder}: no run here (there is no {FILE})")
    try:
        content = path.read_bytes()
        msgspec.json.decode(content, type=_Content)
        return dict(json.loads(content))
    except OSError as error:
        raise unusable(path, "cannot be read", error) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: damaged ({error}); run again into a new folder") from error


class _Settings(msgspec.Struct):
    """What of `fixed_settings` is read again, by type."""

    data: str
    data_version: str
    seed: int
    device: str
    threads: int
    timeout_s: float
    subset: Subset = "all"
    limit: int | None = None
    shard: str | None = None


class _Content(msgspec.Struct):
    """What ``run.json`` must hold."""

    config: _Settings
    plugins: list[str]
    provenance: dict[str, Any]
    pairs: str = ""
    code: dict[str, str] = {}
