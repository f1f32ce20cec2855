"""Errors that a person can act on."""

from __future__ import annotations

import errno


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


class ContractError(ImedbenchError):
    """A plugin returned something its contract does not allow."""


class Declined(ImedbenchError):
    """A method or data set cannot do what is asked and says why; stored as ``skipped``."""


class ConfigDrift(BadInput):
    """A run folder holds results of another configuration than the one asked for."""


class IncompleteRun(ImedbenchError):
    """A figure was asked of a run in which some pairs have no answer."""
