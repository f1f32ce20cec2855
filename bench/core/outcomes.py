"""What can become of a pair under a method."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What became of one pair under one method; exactly one of these is stored."""

    OK = "ok"
    NO_TRANSFORM = "no_transform"
    DEGENERATE = "degenerate"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASH = "crash"
    SKIPPED = "skipped"
    UNREADABLE = "unreadable"

    @property
    def is_failure(self) -> bool:
        """Whether tables count it as a registration failure."""
        return self in _FAILURES

    @property
    def is_answer(self) -> bool:
        """Whether the method had its chance: a crash, skip or bad file leaves a run incomplete."""
        return self is Outcome.OK or self in _FAILURES


_FAILURES = frozenset(
    {Outcome.NO_TRANSFORM, Outcome.DEGENERATE, Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY}
)
