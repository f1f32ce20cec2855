"""Who is told how far a long piece of work has come."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Is told how a run goes; the command line draws its progress bar from it."""

    def begin(self, total: int) -> None:
        """So many rows there will be."""

    def method(self, spec: str) -> None:
        """Return the rows of this method come next."""

    def row(self, method: str, pair_id: str) -> None:
        """One more row is in the store, just made or found there."""


class NullProgress:
    """A progress that shows nothing."""

    def begin(self, total: int) -> None:
        """Nothing."""

    def method(self, spec: str) -> None:
        """Nothing."""

    def row(self, method: str, pair_id: str) -> None:
        """Nothing."""
