"""Read a whole data set and say what is in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from imedbench.core.datasets import Dataset, MissingSplit
from imedbench.core.progress import Progress
from imedbench.core.types import SPLITS, ImagePair


@dataclass
class SplitContent:
    """What a split holds, counted while its pairs are read."""

    split: str
    pairs: int = 0
    train: int = 0
    eyes: set[str] = field(default_factory=set)
    modalities: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    with_landmarks: int = 0

    def add(self, pair: ImagePair) -> None:
        """Count one pair."""
        self.pairs += 1
        self.train += pair.subset == "train"
        self.eyes.add(pair.group)
        self.modalities[f"{pair.fixed.modality} ← {pair.moving.modality}"] += 1
        self.sizes["×".join(map(str, pair.fixed.size))] += 1
        self.with_landmarks += pair.truth.moving_points is not None


@dataclass(frozen=True)
class CheckResult:
    """What a data set holds.

    Args:
        title: name and version.
        splits: what each split holds.
        remarks: what somebody who uses it should know.
    """

    title: str
    splits: list[SplitContent]
    remarks: list[str]

    def rows(self) -> list[list[str]]:
        """A table row for each split."""
        return [
            [
                s.split,
                str(s.pairs),
                str(len(s.eyes)),
                f"{s.train} / {s.pairs - s.train}",
                _counted(s.modalities),
                _counted(s.sizes),
                f"{s.with_landmarks} of {s.pairs}",
            ]
            for s in self.splits
        ]

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        splits = [
            {
                **vars(s),
                "eyes": sorted(s.eyes),
                "modalities": dict(s.modalities),
                "sizes": dict(s.sizes),
            }
            for s in self.splits
        ]
        return {"title": self.title, "splits": splits, "remarks": self.remarks}


def check_dataset(dataset: Dataset, progress: Progress) -> CheckResult:
    """Read every pair of every split.

    Raises:
        BadInput: at the first file that is missing or wrong.
    """
    refs, remarks = [], []
    for split in SPLITS:
        try:
            refs += list(dataset.refs(split))
        except MissingSplit as error:
            remarks.append(str(error))
    progress.begin(len(refs))
    contents: dict[str, SplitContent] = {}
    for ref in refs:
        contents.setdefault(ref.split, SplitContent(ref.split)).add(dataset.load(ref))
        progress.row("checking", ref.pair_id)
    for content in contents.values():
        remarks += _doubts(content)
    if hasattr(dataset, "remarks"):
        remarks += dataset.remarks()
    title = f"{dataset.info.name}, version {dataset.info.version}"
    return CheckResult(title, list(contents.values()), remarks)


def _doubts(content: SplitContent) -> list[str]:
    doubts = []
    if content.with_landmarks < content.pairs:
        n = content.pairs - content.with_landmarks
        pairs = "1 pair has" if n == 1 else f"{n} pairs have"
        doubts.append(f"{content.split}: {pairs} no landmarks, so no TRE")
    if len(content.eyes) == content.pairs > 1:
        doubts.append(
            f"{content.split}: every pair counts as an eye of its own; name eyes in group"
        )
    return doubts


def _counted(counter: Counter[str]) -> str:
    if len(counter) > 3:
        return f"{len(counter)} kinds"
    return ", ".join(name if n == counter.total() else f"{n} {name}" for name, n in counter.items())
