"""Parts of a run that machines work on apart: which pairs are whose, and whether parts fit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from imedbench.core.datasets import PairRef
from imedbench.core.errors import BadInput
from imedbench.core.types import Split

T = TypeVar("T")
Pair = tuple[Split, str]  # split and pair id
MAX_SHARDS = 100_000


@dataclass(frozen=True)
class Shard:
    """One of several parts of a run.

    Args:
        number: which, from 1.
        of: how many parts there are.

    Example:
        >>> [Shard(2, 3).take("abcdefg"), str(Shard(2, 3))]
        [['b', 'e'], '2/3']
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read a shard such as ``2/8``.

        Raises:
            BadInput: when it is none.
        """
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        shard = cls(*map(int, match.groups())) if match else cls(0, 0)
        if not 1 <= shard.number <= shard.of <= MAX_SHARDS:
            raise BadInput(f"--shard {text!r}: say which of how many, from 1/{{n}} to {{n}}/{{n}}")
        return shard

    def take(self, items: Sequence[T]) -> list[T]:
        """Return the items of this part: every one belongs to exactly one part."""
        return list(items[self.number - 1 :: self.of])


def pairs_digest(refs: Iterable[PairRef]) -> str:
    """Hash of which pairs a whole run is to cover, in their order."""
    names = [(ref.split, ref.pair_id) for ref in refs]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]


def check_shards(folders: Sequence[Path], runs: Sequence[Mapping[str, Any]]) -> None:
    """Make sure that run folders are all the shards of one run, each once.

    Args:
        folders: of the shards.
        runs: the content of ``run.json`` of each.

    Raises:
        BadInput: for one that is no shard, is there twice, is missing or belongs to another run.
    """
    first = runs[0]
    taken: dict[int, Path] = {}
    for folder, run in zip(folders, runs, strict=True):
        if not run["config"].get("shard"):
            raise BadInput(f"{folder}: a whole run; merge shards with each other first")
        shard = Shard.parse(run["config"]["shard"])
        of = Shard.parse(first["config"]["shard"]).of
        if shard.of != of:
            raise BadInput(f"{folder}: shard {shard}, while {folders[0]} is one of {of}")
        _check_alike(folder, run, folders[0], first)
        if shard.number in taken:
            raise BadInput(f"{folder}: shard {shard} is in {taken[shard.number]} too")
        taken[shard.number] = folder
    missing = [number for number in range(1, of + 1) if number not in taken]
    if missing:
        names = ", ".join(f"{number}/{of}" for number in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise BadInput(f"shard {names}{more} is missing: merge takes all {of} of them")


def _check_alike(
    folder: Path, run: Mapping[str, Any], base: Path, first: Mapping[str, Any]
) -> None:
    """Make sure that a shard was run on the same data, by the same code, as the first."""
    groups = [
        ("", first["config"], run["config"], ("data", "subset", "limit")),
        ("", _versions(first), _versions(run), ()),
        ("the code of ", first.get("code", {}), run.get("code", {}), ()),
    ]
    for what, here, there, names in groups:
        for name in names or sorted({*here, *there}):
            if here.get(name) != there.get(name):
                values = f"{there.get(name)}, in {base} it is {here.get(name)}"
                raise BadInput(f"{folder}: {what}{name} is {values}")
    if run.get("pairs") != first.get("pairs"):
        raise BadInput(
            f"{folder}: its data set had other pairs than that of {base}; run the older one again"
        )


def _versions(run: Mapping[str, Any]) -> Mapping[str, Any]:
    versions = run["provenance"].get("versions")
    return versions if isinstance(versions, dict) else {}
