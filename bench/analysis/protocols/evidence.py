"""What a protocol is given of each pair, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from imedbench.core.arrays import Matrix
from imedbench.core.errors import ContractError, IncompleteRun
from imedbench.core.types import Outcome


@dataclass(frozen=True)
class LandmarkErrors:
    """The landmark errors of one pair, as far as any protocol asks: px of the fixed image.

    Args:
        mean: of the distances; infinite where a landmark was lost.
        median: of the distances.
        max: of the distances.
        rms: root of the mean squared distance.

    Raises:
        ContractError: when one is no distance.
    """

    mean: float
    median: float
    max: float
    rms: float

    def __post_init__(self) -> None:
        # The negated comparison also catches NaN.
        if not all(value >= 0 for value in (self.mean, self.median, self.max, self.rms)):
            raise ContractError(f"landmark errors must be distances ≥ 0, these are {self}")


@dataclass(frozen=True, eq=False)
class PairEvidence:
    """What is known of one pair under one method.

    Args:
        pair_id: unique within the set.
        outcome: what became of the pair.
        category: the data set's class of the pair, such as FIRE's ``S``, ``P`` and ``A``.
        errors: landmark errors under the stored transform; None without a usable transform or
            without landmarks.
        n_matches: correspondences the method found; None if it works without.
        matrix: 3×3 of an affine or homography; None for other kinds or none.
        mse: vessel-map mean squared difference; None where unknown.
        identity_mse: the same before registration; None where unknown.
    """

    pair_id: str
    outcome: Outcome
    category: str = ""
    errors: LandmarkErrors | None = None
    n_matches: int | None = None
    matrix: Matrix | None = None
    mse: float | None = None
    identity_mse: float | None = None

    @property
    def mean_error(self) -> float:
        """Mean landmark error in px; infinite without a transform."""
        return self.errors.mean if self.errors else np.inf


class Grade(StrEnum):
    """What a protocol makes of one pair."""

    FAILED = "failed"
    INACCURATE = "inaccurate"
    ACCEPTABLE = "acceptable"
    REGISTERED = "registered"  # not failed, under a protocol that grades no further


@dataclass(frozen=True)
class ProtocolResult:
    """A method's figures under one protocol.

    Args:
        protocol: name and version.
        n: number of pairs that count.
        grades: each counted pair's grade.
        figures: the protocol's figures by name; rates and areas in [0, 1].
        excluded: pairs that the protocol leaves out.
        order_key: methods are ranked by it, smallest first.
    """

    protocol: str
    n: int
    grades: Mapping[str, Grade]
    figures: Mapping[str, float]
    excluded: tuple[str, ...]
    order_key: tuple[float, ...]

    def count(self, grade: Grade) -> int:
        """Number of pairs of one grade."""
        return sum(given is grade for given in self.grades.values())


@dataclass(frozen=True)
class Protocol:
    """A named rule, from the evidence of all pairs to figures.

    Args:
        name: name and version; a changed rule is a new version.
        summary: the rule in one line.
        source: paper or software whose rule it is.
        grade: the grade of one pair.
        figures: the figures of all counted pairs and their grades.
        order_key: the ranking key of those figures, smallest first.
        excluded: pair ids, or parts of them, that never count.
        needs_landmarks: whether every transform must come with landmark errors.
        caveat: what a reader must know before the figures are quoted; empty for nothing.
    """

    name: str
    summary: str
    source: str
    grade: Callable[[PairEvidence], Grade]
    figures: Callable[[Sequence[PairEvidence], Sequence[Grade]], dict[str, float]]
    order_key: Callable[[Mapping[str, float]], tuple[float, ...]]
    excluded: tuple[str, ...] = ()
    needs_landmarks: bool = True
    caveat: str = ""

    def evaluate(self, evidence: Sequence[PairEvidence]) -> ProtocolResult:
        """Apply the rule.

        Args:
            evidence: one entry a pair of the whole set.

        Raises:
            IncompleteRun: when a pair crashed or was skipped, has no landmarks although the
                protocol needs them, or no pair counts.
            ContractError: when a pair appears twice.
        """
        left_out = {e.pair_id for e in evidence if any(part in e.pair_id for part in self.excluded)}
        counted = [e for e in evidence if e.pair_id not in left_out]
        self._check(counted)
        grades = [self.grade(e) for e in counted]
        figures = self.figures(counted, grades)
        return ProtocolResult(
            protocol=self.name,
            n=len(counted),
            grades={e.pair_id: grade for e, grade in zip(counted, grades, strict=True)},
            figures=figures,
            excluded=tuple(sorted(left_out)),
            order_key=tuple(np.inf if np.isnan(k) else k for k in self.order_key(figures)),
        )

    def _check(self, counted: Sequence[PairEvidence]) -> None:
        if not counted:
            raise IncompleteRun(f"{self.name} has no pair to count")
        if len({e.pair_id for e in counted}) < len(counted):
            raise ContractError(f"{self.name} was given a pair twice")
        for pair in counted:
            if not pair.outcome.is_answer:
                raise IncompleteRun(f"{self.name}: pair {pair.pair_id} is {pair.outcome}")
            if self.needs_landmarks and pair.outcome is Outcome.OK and pair.errors is None:
                raise IncompleteRun(f"{self.name}: pair {pair.pair_id} has no landmarks")


def grade_rates(grades: Sequence[Grade]) -> dict[str, float]:
    """Shares of failed, inaccurate and acceptable pairs, in [0, 1]."""
    kinds = (Grade.FAILED, Grade.INACCURATE, Grade.ACCEPTABLE)
    return {kind.value: sum(grade is kind for grade in grades) / len(grades) for kind in kinds}
