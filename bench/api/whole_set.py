"""Every pair of a data set aligned by one method, as images, transforms and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imedbench.api.many_pairs import Bar, check_settings, in_python, loaded, no_bar
from imedbench.core.errors import ConfigDrift
from imedbench.core.types import SPLITS

if TYPE_CHECKING:
    from imedbench.runs.align import Aligned
    from imedbench.runs.config import RunConfig


@dataclass(frozen=True)
class AlignedSet:
    """What became of a set of pairs.

    Args:
        folder: where images, transforms and the table are.
        pairs: every pair with its answer and files, those that need a look first.
        sheets: pictures to look them through by.
    """

    folder: Path
    pairs: list[Aligned]
    sheets: list[Path]

    @property
    def table(self) -> Path:
        """The table of all pairs, a CSV file."""
        from imedbench.runs.align import TABLE

        return self.folder / TABLE

    @property
    def aligned(self) -> int:
        """How many pairs were aligned."""
        return sum(pair.files is not None for pair in self.pairs)

    @property
    def unanswered(self) -> list[Aligned]:
        """The pairs that the method never answered: a crash, a file that cannot be read."""
        return [pair for pair in self.pairs if pair.row is None or not pair.row.outcome.is_answer]

    def __repr__(self) -> str:
        return f"<AlignedSet {self.folder}: {self.aligned} of {len(self.pairs)} pairs aligned>"


def align(
    pairs: str | Path,
    out: str | Path = "aligned",
    method: str = "imed",
    *,
    force: bool = False,
    plugins: Sequence[str | Path] = (),
    **settings: Any,
) -> AlignedSet:
    """Align every pair and write images at their own depth, transforms, a table and a QC sheet.

    A refused pair gets no image. The same call again goes on where it ended.

    Args:
        pairs: a folder of ``ID_cf.*`` and ``ID_octa.*`` files, a ``pairs.csv``, or any data set.
        out: folder to write.
        method: name with its options.
        force: whether files that are there may be replaced.
        plugins: files with further methods.
        settings: others of `imedbench.runs.config.RunConfig`: ``subset``, ``limit``, ``workers``,
            ``timeout_s`` …

    Raises:
        BadInput: for an unknown name, option or setting, pairs that cannot be opened, or a folder
            that holds something else.
        ConfigDrift: when the folder holds what was made with other settings.
    """
    from imedbench.runs.config import RunConfig

    check_settings(settings)
    files = tuple(loaded(plugins))
    config = RunConfig(str(pairs), (method,), Path(out), SPLITS, plugins=files, **settings)
    try:
        return align_set(config, force=force)
    except ConfigDrift as drift:
        raise in_python(drift) from drift


def align_set(config: RunConfig, *, force: bool, bar: Bar = no_bar) -> AlignedSet:
    """Align the pairs of the first split there is: what `align` and ``imedbench align`` do.

    Args:
        config: of the run; its ``out`` is the output folder itself.
        force: whether files that are there may be replaced.
        bar: makes the progress of what is being done.

    Raises:
        BadInput: when the output folder holds something else, before anything is written.
        ConfigDrift: when it holds what was made with other settings, and force is not given.
        KeyboardInterrupt: after Ctrl-C, when the pairs in flight are finished and stored.
    """
    from imedbench.core.datasets import open_dataset
    from imedbench.reports.qc import write_sheets
    from imedbench.runs.align import PartOfPairs, align
    from imedbench.runs.plan import offered_splits

    pairs = PartOfPairs(open_dataset(config.data), config.subset, config.limit)
    config, _ = offered_splits(config, pairs, every_split=True)
    # Another part of the pairs may follow into the same folder.
    config = replace(config, splits=config.splits[:1], subset="all", limit=None)
    with bar("aligning") as progress:
        done = align(config, pairs, progress, force=force)
    with bar("drawing") as progress:
        sheets = write_sheets(config.out, done, pairs, progress)
    return AlignedSet(config.out, done, sheets)
