"""Who is told how long work goes."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Is told how a run goes; the command line draws its progress bar from it."""

    def begin(self, total: int) -> None:
        """So many rows there will be."""

    def method(self, spec: str) -> None:
        """The rows of this method come next."""

    def row(self, method: str, pair_id: str) -> None:
        """One more row is in the store, just made or found there."""


class Silence:
    """An observer that does nothing."""

    def begin(self, total: int) -> None:
        """Nothing."""

    def method(self, spec: str) -> None:
        """Nothing."""

    def row(self, method: str, pair_id: str) -> None:
        """Nothing."""
