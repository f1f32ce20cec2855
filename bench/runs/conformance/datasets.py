"""Whether a data set keeps to its contract."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from imedbench.core.datasets import Dataset, DatasetInfo, MissingSplit, PairRef
from imedbench.core.errors import Mistakes
from imedbench.core.registry import DATASETS
from imedbench.core.types import SPLITS, Image, ImagePair, Split
from imedbench.runs.check_data import check_landmarks, is_outside
from imedbench.runs.conformance.checker import Checker, Stop
from imedbench.runs.conformance.findings import Limits, Report
from imedbench.runs.hashing import truth_hash
from imedbench.runs.plugin_source import describe_kind

MOST = 12  # pairs that are read; `imedbench data check` reads them all
_NEAR = 2.0  # px that landmarks may be off the exact transform
_UNIT = "grey levels are uint8 from 0 to 255: (255 * array).astype(np.uint8)"


def check_dataset(name: str, limits: Limits | None = None) -> Report:
    """Try a data set: what it lists, and whether its pairs are what it lists.

    Args:
        name: as it is registered, with options if need be: ``mine:root=FOLDER``.
        limits: what reading one pair may take.

    Raises:
        BadInput: when there is no such data set.
        Declined: when it says that it cannot be opened here.
    """
    return _DatasetChecker(DATASETS, name, limits or Limits()).checked()


class _DatasetChecker(Checker[Dataset]):
    """One data set under test."""

    def run(self) -> None:
        """Check after check; without pairs the others make no sense."""
        self.check_options(required=True)
        self._set_up()
        refs = [ref for split in SPLITS for ref in self._refs(split)]
        if not refs:
            self.report.fault("refs", "it has no pair in any split")
            raise Stop
        self._split_by_eye(refs)
        pairs = [(ref, pair) for ref in refs[:MOST] if (pair := self._load(ref)) is not None]
        if len(refs) > MOST:
            self.report.remark(
                f"{MOST} of {len(refs)} pairs were read; imedbench data check reads them all"
            )
        for ref, pair in pairs:
            self._agrees(ref, pair)
            self._is_shown(pair)
            self._points(pair)
            if self.report.faults:  # the others have the same, most of the time
                break
        self._same_pair(pairs)
        self.report.passes("pairs are what it lists", "agreement", "load")
        self.report.passes("landmarks lie inside their images", "landmarks")
        self.report.passes("images and masks are of one size, with grey levels to see", "images")
        self.check_manners("a pair")

    def _set_up(self) -> None:
        self.dataset = self.create()
        read, info = self.attempt("setting up", lambda: self.dataset.info)
        if not read:
            raise Stop
        if not isinstance(info, DatasetInfo):
            self.report.fault("info", f"info is {describe_kind(info)}; it must be a DatasetInfo(…)")
        self.report.passes("it is opened and says what it is", "setting up", "info")

    def _refs(self, split: Split) -> list[PairRef]:
        """The pairs of a split, if they are listed as they should be."""
        missing: list[str] = []

        def listed() -> Any:
            try:
                return self.dataset.refs(split)
            except MissingSplit as reason:
                missing.append(str(reason))
                return []

        came, refs = self.attempt("refs", listed, "for a split it lacks, raise MissingSplit('why')")
        if missing:
            self.report.remark(f"{split}: {missing[0]}")
        if not came or not self._are_refs(split, refs):
            return []
        again = self.attempt("refs", listed)[1]
        if list(refs) != list(again):
            self.report.fault("refs", f"{split}: two calls list other pairs, or in another order")
        self.report.passes(f"it lists the pairs of {split}", "refs")
        return list(refs)

    def _are_refs(self, split: Split, refs: Any) -> bool:
        report = self.report
        if not isinstance(refs, Sequence) or isinstance(refs, str):
            report.fault("refs", f"refs returned {describe_kind(refs)}; return a list of PairRef")
            return False
        for ref in refs:
            if not isinstance(ref, PairRef):
                report.fault("refs", f"refs lists {describe_kind(ref)}; list PairRef(…)")
                return False
            if ref.split != split:
                report.fault(
                    "refs", f"refs({split!r}) lists {ref.pair_id} with the split {ref.split!r}"
                )
            if ref.subset not in ("train", "test"):
                report.fault("refs", f"{ref.pair_id}: subset is {ref.subset!r}; say train or test")
        names = [ref.pair_id for ref in refs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            report.fault("refs", f"{split}: two pairs have the id {twice[0]!r}")
        return True

    def _split_by_eye(self, refs: list[PairRef]) -> None:
        subsets: dict[str, set[str]] = defaultdict(set)
        for ref in refs:
            subsets[ref.group].add(ref.subset)
            if not ref.group:
                self.report.fault(
                    "eyes", f"{ref.pair_id}: group is empty; name the eye or the patient"
                )
        both = sorted(group for group, found in subsets.items() if len(found) > 1)
        if both:
            self.report.fault(
                "eyes",
                f"{both[0]!r} is in train and in test: split by eye or patient, not by image,"
                " or a method is judged on eyes that it has seen",
            )
        self.report.passes("train and test share no eye", "eyes")

    def _load(self, ref: PairRef) -> ImagePair | None:
        loaded, pair = self.attempt("load", lambda: self.dataset.load(ref))
        if loaded and not isinstance(pair, ImagePair):
            self.report.fault("load", f"load returned {describe_kind(pair)}; return ImagePair(…)")
            return None
        return pair if loaded else None

    def _agrees(self, ref: PairRef, pair: ImagePair) -> None:
        """See that a pair is the one that was asked for."""
        facts = {
            "pair_id": (ref.pair_id, pair.pair_id),
            "group": (ref.group, pair.group),
            "subset": (ref.subset, pair.subset),
            "fixed modality": (ref.fixed_modality, pair.fixed.modality),
            "moving modality": (ref.moving_modality, pair.moving.modality),
        }
        for fact, (listed, loaded) in facts.items():
            if listed != loaded:
                self.report.fault(
                    "agreement", f"{fact}: refs lists {listed!r}, load returns {loaded!r}"
                )

    def _is_shown(self, pair: ImagePair) -> None:
        """See that there is something on the images, and that masks fit them."""
        sides = (pair.fixed, pair.truth.fixed_vessels), (pair.moving, pair.truth.moving_vessels)
        for side, (image, mask) in zip(("fixed", "moving"), sides, strict=True):
            where, levels = f"{pair.pair_id}: the {side} image", np.ptp(image.pixels)
            if levels <= 1:
                most = int(image.pixels.max())
                what = "is all one grey" if levels == 0 else f"has no level above {most}; {_UNIT}"
                self.report.fault("images", f"{where} {what}")
            if mask is None:
                continue
            if mask.shape != image.shape or mask.dtype != np.bool_:
                self.report.fault(
                    "images",
                    f"{where} is H×W = {image.shape}, its vessel mask {mask.dtype} {mask.shape};"
                    " masks are bool and of the image's size",
                )

    def _points(self, pair: ImagePair) -> None:
        """See that landmarks lie inside and go with the exact transform, if there is one."""
        truth = pair.truth
        if truth.moving_points is None or truth.fixed_points is None:
            return
        try:
            check_landmarks(pair)
        except Mistakes as mistakes:
            told = mistakes.messages[0]
            if _are_inside(truth.fixed_points[:, ::-1], pair.fixed) and _are_inside(
                truth.moving_points[:, ::-1], pair.moving
            ):
                told += "; points are (x, y), these look like (row, column)"
            elif _are_inside(truth.fixed_points, pair.moving) and _are_inside(
                truth.moving_points, pair.fixed
            ):
                told += "; fixed and moving points look exchanged"
            self.report.fault("landmarks", told)
        exact = truth.fixed_from_moving
        if exact is None:
            return
        off = _off(exact.apply(truth.moving_points), truth.fixed_points)
        if off <= _NEAR:
            self.report.passes("the exact transform takes moving landmarks to fixed ones", "truth")
        elif _off(exact.apply(truth.fixed_points), truth.moving_points) <= _NEAR:
            self.report.fault(
                "truth",
                f"{pair.pair_id}: fixed_from_moving takes fixed landmarks to moving ones: it is the"
                " inverse of the right one, or the landmarks are exchanged",
            )
        else:
            self.report.fault(
                "truth",
                f"{pair.pair_id}: fixed_from_moving leaves the moving landmarks {off:.1f} px off",
            )

    def _same_pair(self, pairs: list[tuple[PairRef, ImagePair]]) -> None:
        """Load again, the other way round: pairs depend neither on chance nor on each other."""
        for ref, pair in reversed(pairs[:3]):
            before = truth_hash(pair)
            again = self._load(ref)
            if again is not None and truth_hash(again) != before:
                self.report.fault(
                    "repeated load", f"{ref.pair_id}: loaded twice it is not the same pair"
                )
            if truth_hash(pair) != before:
                self.report.fault(
                    "repeated load", f"{ref.pair_id}: loading changes a pair handed out before"
                )
        self.report.passes("a pair is the same whenever it is loaded", "repeated load")


def _are_inside(points: Any, image: Image) -> bool:
    return not is_outside(points, image).any()


def _off(points: Any, others: Any) -> float:
    """Mean distance, px; infinite where points are undefined."""
    distance = float(np.linalg.norm(points - others, axis=1).mean())
    return distance if np.isfinite(distance) else np.inf
