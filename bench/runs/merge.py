"""Several runs on the same pairs as one, or the shards of one run, if they belong together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from imedbench.core.errors import BadInput
from imedbench.runs.config import FILE, read_run
from imedbench.runs.files import DIAGNOSTICS, write_atomically
from imedbench.runs.shards import check_shards
from imedbench.runs.store import Store

#: Settings that change what a row means; the last ones only what its latency means.
_SAME = ("data_version", "timeout_s", "seed")
_SAME_MACHINE = ("device", "processor", "threads")


def merge_runs(folders: Sequence[Path], out: Path, *, latency: bool = True) -> None:
    """Copy the rows of several runs, or of all shards of one run, into one folder.

    Args:
        folders: of the runs, at least two, in the order of their methods; of shards in any order.
        out: a new folder.
        latency: whether times are kept; without, runs of different machines can be merged.

    Raises:
        BadInput: when the runs are not of the same pairs, settings, metric versions or machine, or
            two of them have a method of one name; when the shards are not all those of one run;
            nothing is written then.
    """
    if (out / FILE).exists():
        raise BadInput(f"{out}: holds a run already; give a new --out")
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(Store(folder))) for folder in folders]
        settings = [read_run(folder) for folder in folders]
        shards = any(run["config"].get("shard") for run in settings)
        if shards:
            check_shards(folders, settings)
        elif len(folders) < 2:
            raise BadInput("merge needs two runs or more")
        _check_settings(folders, settings, latency=latency)
        (_check_parts if shards else _check_runs)(folders, stores)
        _check_versions(folders, stores)
        merged = stack.enter_context(closing(Store(out, create=True)))
        for folder, store in zip(folders, stores, strict=True):
            _copy(store, merged, latency=latency)
            if (folder / DIAGNOSTICS).is_dir():
                shutil.copytree(folder / DIAGNOSTICS, out / DIAGNOSTICS, dirs_exist_ok=True)
        plugins = sorted({plugin for run in settings for plugin in run["plugins"]})
        content = {
            **settings[0],
            "config": {**settings[0]["config"], "shard": None},
            "plugins": plugins,
            "merged": [f.name for f in folders],
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        write_atomically(out / FILE, text.encode())


def _check_settings(
    folders: Sequence[Path], settings: Sequence[dict[str, Any]], *, latency: bool
) -> None:
    for folder, run in zip(folders[1:], settings[1:], strict=True):
        for name in (*_SAME, *(_SAME_MACHINE if latency else ())):
            here, there = settings[0]["config"].get(name), run["config"].get(name)
            if here != there:
                hint = "; or leave times out by --no-latency" if name in _SAME_MACHINE else ""
                raise BadInput(f"{folder}: {name} is {there}, in {folders[0]} it is {here}{hint}")


def _check_versions(folders: Sequence[Path], stores: Sequence[Store]) -> None:
    versions: dict[str, str] = {}
    for folder, store in zip(folders, stores, strict=True):
        for metric, version in _versions(store).items():
            if versions.setdefault(metric, version) != version:
                raise BadInput(
                    f"{folder}: {metric} is of version {version}, in {folders[0]} of"
                    f" {versions[metric]}; imedbench score brings both up to date"
                )


def _check_runs(folders: Sequence[Path], stores: Sequence[Store]) -> None:
    """The same pairs, other methods."""
    content, taken = _content(stores[0]), set(stores[0].methods())
    for folder, store in zip(folders[1:], stores[1:], strict=True):
        other = _content(store)
        if other != content:
            what = _first_difference(content, other)
            raise BadInput(f"{folder}: other pairs than {folders[0]}: {what}")
        twice = taken & set(store.methods())
        if twice:
            raise BadInput(f"{folder}: {min(twice)} is in an earlier run too")
        taken |= set(store.methods())


def _check_parts(folders: Sequence[Path], stores: Sequence[Store]) -> None:
    """Other pairs, the same methods: by name, version and weights."""
    methods = stores[0].methods()
    taken: dict[tuple[str, str], Path] = {}
    for folder, store in zip(folders, stores, strict=True):
        other = store.methods()
        for spec in {**methods, **other}:
            if spec not in methods or spec not in other:
                there = folder if spec in methods else folders[0]
                raise BadInput(f"{there}: has not begun {spec}; run it again, with all methods")
            if methods[spec] != other[spec]:
                raise BadInput(f"{folder}: its {spec} is another than that of {folders[0]}")
        for ref in store.pairs():
            if taken.setdefault((ref.split, ref.pair_id), folder) != folder:
                raise BadInput(
                    f"{folder}: {ref.pair_id} is in {taken[ref.split, ref.pair_id]} too; the data"
                    " set has changed, run both into new folders"
                )


def _content(store: Store) -> dict[tuple[str, str], str]:
    """What each pair consists of, as far as it is known."""
    hashes = store.hashes()
    refs = [(ref.split, ref.pair_id) for ref in store.pairs()]
    return {key: hashes[key].truth if key in hashes else "" for key in refs}


def _first_difference(a: dict[tuple[str, str], str], b: dict[tuple[str, str], str]) -> str:
    apart = sorted(key for key in {*a, *b} if a.get(key) != b.get(key))
    split, pair_id = apart[0]
    in_both = apart[0] in a and apart[0] in b
    kind = "not the same images or ground truth" if in_both else "not in both"
    return f"{pair_id} of {split} is {kind} ({len(apart)} such pairs)"


def _versions(store: Store) -> dict[str, str]:
    rows = store.read("SELECT metric, MIN(version) AS version FROM scores GROUP BY metric")
    return dict(rows.itertuples(index=False))


def _copy(store: Store, merged: Store, *, latency: bool) -> None:
    merged.set_pairs(store.pairs(), store.positions())
    hashes = store.hashes()
    for ref in store.pairs():
        if (ref.split, ref.pair_id) in hashes:
            merged.set_hashes(ref, hashes[ref.split, ref.pair_id])
    covers: dict[str, list[str]] = {}
    for method, ref in store.expected():
        covers.setdefault(method, []).append(ref.split)
    for spec, info in store.methods().items():
        merged.set_method(spec, info, sorted(set(covers.get(spec, ()))))
    for swapped in (False, True):
        for row in store.predictions(swapped=swapped):
            timed = row if latency else replace(row, latency_ms=None, stages={})
            merged.add_prediction(timed)
    merged.add_scores(list(store.scores()))
