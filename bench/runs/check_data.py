"""Read a whole data set, say what is in it and name every mistake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.datasets import Dataset, MissingSplit, PairRef
from imedbench.core.errors import Collector, Mistakes
from imedbench.core.perceptual import known_images, perceptual_hash
from imedbench.core.progress import Progress
from imedbench.core.types import SPLITS, Image, ImagePair

TrainingImages = Mapping[str, tuple[str, ...]]
"""Perceptual hashes of the images that weights were trained on, by name of the weights."""


@dataclass
class SplitContent:
    """What a split holds, counted while its pairs are read."""

    split: str
    pairs: int = 0
    train: int = 0
    eyes: set[str] = field(default_factory=set)
    ungrouped: int = 0
    modalities: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    with_landmarks: int = 0

    def add(self, pair: ImagePair) -> None:
        """Count one pair."""
        self.pairs += 1
        self.train += pair.subset == "train"
        self.eyes.add(pair.group)
        self.ungrouped += pair.group == pair.pair_id  # as it is where none is named
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
        mistakes: what has to be mended; every one that was found.
    """

    title: str
    splits: list[SplitContent]
    remarks: list[str]
    mistakes: list[str]

    def rows(self) -> list[list[str]]:
        """Return a table row for each split."""
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
        """Return the same for machines."""
        splits = [
            {
                **vars(s),
                "eyes": sorted(s.eyes),
                "modalities": dict(s.modalities),
                "sizes": dict(s.sizes),
            }
            for s in self.splits
        ]
        return {
            "title": self.title,
            "splits": splits,
            "remarks": self.remarks,
            "mistakes": self.mistakes,
        }


def check_dataset(dataset: Dataset, trained: TrainingImages, progress: Progress) -> CheckResult:
    """Read every pair of every split, and go on after a mistake.

    Args:
        dataset: opened.
        trained: what weights were trained on, to tell of copies of training images.
        progress: is told of every pair.
    """
    refs, remarks, mistakes = _all_refs(dataset)
    progress.begin(len(refs))
    contents: dict[str, SplitContent] = {}
    notes: dict[str, list[str]] = {}
    looks: set[str] = set()
    for ref in refs:
        with mistakes:
            pair = dataset.load(ref)
            contents.setdefault(ref.split, SplitContent(ref.split)).add(pair)
            looks.update(map(perceptual_hash, (pair.fixed, pair.moving)))
            for side, image in (("fixed", pair.fixed), ("moving", pair.moving)):
                if image.note:
                    notes.setdefault(image.note, []).append(f"{ref.pair_id} {side}")
            check_landmarks(pair)
        progress.row("checking", ref.pair_id)
    for content in contents.values():
        remarks += _doubts(content)
    remarks += [f"{note}: {_listed(list(dict.fromkeys(where)))}" for note, where in notes.items()]
    remarks += _known_from_training(sorted(looks), trained)
    if hasattr(dataset, "remarks"):
        remarks += dataset.remarks()
    title = f"{dataset.info.name}, version {dataset.info.version}"
    every = list(dict.fromkeys(mistakes.messages))
    return CheckResult(title, list(contents.values()), remarks, every)


def _all_refs(dataset: Dataset) -> tuple[list[PairRef], list[str], Collector]:
    """The pairs of all splits, which splits there are not, and what is wrong with other pairs."""
    refs: list[PairRef] = []
    remarks, mistakes = [], Collector()
    for split in SPLITS:
        with mistakes:
            try:
                refs += dataset.refs(split)
            except MissingSplit as error:
                remarks.append(str(error))
            except Mistakes as error:
                refs += error.rest
                raise
    return refs, remarks, mistakes


def check_landmarks(pair: ImagePair) -> None:
    """Name the landmarks that lie outside their image.

    Raises:
        Mistakes: when there are any.
    """
    truth, mistakes = pair.truth, Collector()
    for side, points, image in (
        ("fixed", truth.fixed_points, pair.fixed),
        ("moving", truth.moving_points, pair.moving),
    ):
        for row in [] if points is None else np.flatnonzero(is_outside(points, image)):
            x, y = points[row]  # type: ignore[index]
            mistakes.add(
                f"{pair.pair_id}: landmark {row + 1} at ({x:g}, {y:g}) lies outside the {side}"
                f" image of {image.size[0]}×{image.size[1]} px"
            )
    mistakes.raise_any()


def is_outside(points: Points, image: Image) -> Any:
    """Tell which points lie more than half a pixel beyond the centres of the outer pixels."""
    return ((points < -0.5) | (points > np.array(image.size) - 0.5)).any(1)


def _known_from_training(looks: list[str], trained: TrainingImages) -> list[str]:
    counts = {name: sum(known_images(looks, images)) for name, images in trained.items()}
    return [
        f"{n} of the {len(looks)} different images are among those that the weights {name} were"
        " trained on"
        for name, n in counts.items()
        if n
    ]


def _listed(names: list[str], most: int = 4) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _doubts(content: SplitContent) -> list[str]:
    doubts = []
    if content.with_landmarks < content.pairs:
        n = content.pairs - content.with_landmarks
        pairs = "1 pair has" if n == 1 else f"{n} pairs have"
        doubts.append(f"{content.split}: {pairs} no landmarks, so no TRE")
    if content.ungrouped == content.pairs > 1:
        doubts.append(
            f"{content.split}: every pair counts as an eye of its own; name eyes in group"
        )
    return doubts


def _counted(counter: Counter[str]) -> str:
    if len(counter) > 3:
        return f"{len(counter)} kinds"
    return ", ".join(name if n == counter.total() else f"{n} {name}" for name, n in counter.items())
