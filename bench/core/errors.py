"""Errors that a person can act on."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any


class ImedbenchError(Exception):
    """Anything imedbench raises on purpose; the command line prints it as one line, exit code 2."""


class BadInput(ImedbenchError):
    """A file, option or name that cannot be used: the message names it, says why and what to do."""


class BadEnvironment(BadInput):
    """The machine cannot do what is asked: a full disk, a folder that may not be written to."""


# What is the machine's fault and not that of what was typed.
_ENVIRONMENT = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.EIO}
_ENVIRONMENT |= {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EFBIG}


def unusable(path: object, doing: str, error: OSError) -> BadInput:
    """Make the error for a file or folder that the system refuses.

    Args:
        path: of it.
        doing: what was refused, such as ``cannot be written``.
        error: what the system said.
    """
    kind = BadEnvironment if error.errno in _ENVIRONMENT else BadInput
    return kind(f"{path}: {doing} ({error.strerror or error})")


class Mistakes(BadInput):
    """Several mistakes: ``data check`` lists them all, everybody else names the first.

    Args:
        messages: one a mistake, at least one.
        rest: what is right, for somebody who goes on looking.
    """

    def __init__(self, messages: Sequence[str], rest: Sequence[Any] = ()) -> None:
        more = len(messages) - 1
        also = f" (and {more} more; imedbench data check lists them all)" if more else ""
        super().__init__(messages[0] + also)
        self.messages, self.rest = tuple(messages), tuple(rest)


class Collector:
    """Goes on after a mistake, so that all of them can be told at once.

    Example:
        >>> mistakes = Collector()
        >>> with mistakes:
        ...     raise BadInput("a.png: no such file")
        >>> mistakes.messages
        ['a.png: no such file']
    """

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, message: str) -> None:
        """Note a mistake."""
        self.messages.append(message)

    def __enter__(self) -> Collector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> bool:
        """Keep the message of a BadInput; let anything else through."""
        if isinstance(error, BadInput):
            self.messages += error.messages if isinstance(error, Mistakes) else [str(error)]
        return isinstance(error, BadInput)

    def raise_any(self, rest: Sequence[Any] = ()) -> None:
        """Raise what was collected.

        Args:
            rest: what is right, for somebody who goes on looking.

        Raises:
            Mistakes: when there were any.
        """
        if self.messages:
            raise Mistakes(self.messages, rest)


class ContractError(ImedbenchError):
    """A plugin returned something its contract does not allow."""


class Declined(ImedbenchError):
    """A method or data set cannot do what is asked and says why; stored as ``skipped``."""


class ProgramFault(Exception):
    """A method's own program failed, ended or broke the protocol; stored as ``crash``.

    Args:
        reason: on one line.
        trace: where in the program, if it says.
    """

    def __init__(self, reason: str, trace: str = "") -> None:
        super().__init__(reason)
        self.trace = trace


class ConfigDrift(BadInput):
    """A run folder holds results of another configuration than the one asked for."""


class IncompleteRun(ImedbenchError):
    """A figure was asked of a run in which some pairs have no answer."""
