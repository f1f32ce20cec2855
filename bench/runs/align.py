"""Align a whole set: a run of one method, and from its rows images, transforms and a table.

The run in the folder ``run`` makes it resumable: the same call goes on where the last one ended.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imedbench.core.arrays import plain
from imedbench.core.datasets import Dataset, PairRef
from imedbench.core.decoding import Picture, read_picture
from imedbench.core.errors import BadInput, ConfigDrift
from imedbench.core.progress import Progress
from imedbench.core.transforms import to_dict
from imedbench.core.transforms.itk import to_itk
from imedbench.core.types import Outcome, Split
from imedbench.runs.alignment import Alignment, warp_picture
from imedbench.runs.config import FILE, RunConfig, Subset
from imedbench.runs.files import slug
from imedbench.runs.handles import look_up
from imedbench.runs.output import check_target, encode_picture, write_file
from imedbench.runs.pairs import KeptPairs
from imedbench.runs.rows import Prediction
from imedbench.runs.runner import run
from imedbench.runs.store import Store

RUN = "run"  # folder of the run below the output folder
TABLE = "aligned.csv"
_PLAIN = re.compile(r"\w[\w.-]{0,99}")
_COLUMNS = ("pair_id", "outcome", "reason", "confidence", "method", "image", "transform", "itk")


@dataclass(frozen=True)
class Aligned:
    """What became of a pair.

    Args:
        ref: the pair.
        row: what the method answered; None where it was not asked.
        files: image, JSON and ITK file below the output folder; None for a refused pair.
    """

    ref: PairRef
    row: Prediction | None
    files: tuple[Path, Path, Path] | None

    @property
    def urgency(self) -> tuple[bool, float]:
        """Sort key: what has to be looked at first is the least."""
        sure = self.row.confidence if self.row and self.row.confidence is not None else 0.5
        return self.files is not None, sure


def align(config: RunConfig, pairs: KeptPairs, progress: Progress, *, force: bool) -> list[Aligned]:
    """Register every pair of one split with one method and write what came out.

    Args:
        config: of the run; its ``out`` is the output folder itself.
        pairs: the opened data set.
        progress: is told of every pair.
        force: whether files that are there may be replaced.

    Returns:
        Every pair, the refused ones first, then the less sure ones first.

    Raises:
        BadInput: when the output folder holds something else, before anything is written.
        ConfigDrift: when it holds what was made with other settings, and force is not given.
        KeyboardInterrupt: after Ctrl-C, when the pairs in flight are finished and stored.
    """
    out = config.out
    ours = (out / RUN / FILE).is_file()
    if out.exists() and not ours and not force and any(out.iterdir()):
        raise BadInput(f"{out}: holds other files; name another --out, or --force")
    config = replace(config, out=out / RUN, recompute=force, diagnostics=False)
    try:
        run(config, pairs, progress)
    except ConfigDrift as error:
        raise ConfigDrift(str(error).replace("--recompute", "--force")) from None
    method = look_up(config.methods[0]).spec
    with closing(Store(config.out)) as store:
        rows = {(row.split, row.pair_id): row for row in store.predictions(method)}
        refs = [ref for ref in store.pairs() if ref.split in config.splits]
    writer = _Writer(out, pairs, force)
    done = [writer.write(ref, rows.get((ref.split, ref.pair_id))) for ref in refs]
    done.sort(key=lambda item: item.urgency)
    write_file(out / TABLE, _table(done, method).encode())
    return done


class PartOfPairs(KeptPairs):
    """Some pairs of a data set: the others can be aligned into the same folder later.

    Args:
        dataset: the one to read from.
        subset: which pairs, by their mark.
        limit: at most so many of them; None for all.
    """

    def __init__(self, dataset: Dataset, subset: Subset, limit: int | None) -> None:
        super().__init__(dataset)
        self.subset, self.limit = subset, limit

    def refs(self, split: Split) -> Sequence[PairRef]:
        """Return the pairs of a split that are asked for."""
        refs = super().refs(split)
        return [r for r in refs if self.subset in ("all", r.subset)][: self.limit]


class _Writer:
    """Writes the files of one pair after the other."""

    def __init__(self, out: Path, pairs: KeptPairs, force: bool) -> None:
        self.out, self.pairs, self.force = out, pairs, force

    def write(self, ref: PairRef, row: Prediction | None) -> Aligned:
        """Write what a pair lacks, and take away what an older answer left."""
        # An id that could leave the folder, or name a hidden file, gets another name.
        name = ref.pair_id if _PLAIN.fullmatch(ref.pair_id) else slug(ref.pair_id)
        facts, itk = (self.out / "transforms" / f"{name}{ending}" for ending in (".json", ".tfm"))
        images = [self.out / "images" / f"{name}{ending}" for ending in (".png", ".tif")]
        key = _key(facts)
        if row is None or row.outcome is not Outcome.OK or row.transform is None:
            for stale in (*images, itk, facts) if key else ():
                check_target(stale, force=self.force, root=self.out)
                stale.unlink(missing_ok=True)
            return Aligned(ref, row, None)
        if key == row.key and itk.is_file():
            for image in images:
                if image.is_file():
                    return Aligned(ref, row, (image, facts, itk))
        return Aligned(ref, row, self._new(ref, row, name, ours=key == row.key))

    def _new(
        self, ref: PairRef, row: Prediction, name: str, *, ours: bool
    ) -> tuple[Path, Path, Path]:
        assert row.transform is not None
        pair = self.pairs.load(ref)
        sources = self._sources(ref)
        picture = read_picture(sources[1]) if sources else Picture(pair.moving.pixels)
        alignment = Alignment(row.transform, pair.fixed.size, pair.moving.size)
        warped = warp_picture(picture, alignment)
        ending = ".png" if warped.dtype in (np.uint8, np.uint16) else ".tif"
        files = (
            self.out / "images" / f"{name}{ending}",
            self.out / "transforms" / f"{name}.json",
            self.out / "transforms" / f"{name}.tfm",
        )
        for file in files:
            check_target(file, force=self.force or ours, inputs=sources, root=self.out)
        facts = {
            "key": row.key,
            "pair_id": ref.pair_id,
            "method": row.method,
            "confidence": row.confidence,
            "fixed": str(sources[0]) if sources else "",
            "moving": str(sources[1]) if sources else "",
            "fixed_size": pair.fixed.size,
            "moving_size": pair.moving.size,
            "fixed_from_moving": to_dict(row.transform),
        }
        write_file(files[0], encode_picture(files[0], warped))
        write_file(files[2], to_itk(row.transform.inverse(), pair.fixed.size).encode())
        # Last, since it says that the others are there.
        write_file(files[1], (json.dumps(plain(facts), indent=2) + "\n").encode())
        return files

    def _sources(self, ref: PairRef) -> tuple[Path, ...]:
        """The files of the fixed and the moving image, where the data set names them."""
        named = getattr(self.pairs.dataset, "source_files", None)
        return tuple(named(ref)) if callable(named) and ref.split == "multi-modal" else ()


def _key(path: Path) -> str:
    """Key of the answer that an earlier call wrote; empty for none, or one that is damaged."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _table(done: list[Aligned], method: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_cells(item, method) for item in done)
    return text.getvalue()


def _cells(item: Aligned, method: str) -> Iterator[str]:
    row = item.row
    yield from (item.ref.pair_id, row.outcome if row else "missing", row.reason if row else "")
    yield "" if row is None or row.confidence is None else f"{row.confidence:.3f}"
    yield method
    yield from (f"{f.parent.name}/{f.name}" for f in item.files) if item.files else ("", "", "")
