"""Errors that a person can act on."""


class ImedbenchError(Exception):
    """Anything imedbench raises on purpose; the command line prints it as one line, exit code 2."""


class BadInput(ImedbenchError):
    """A file, option or name that cannot be used: the message names it, says why and what to do."""


class ContractError(ImedbenchError):
    """A plugin returned something its contract does not allow."""


class Declined(ImedbenchError):
    """A method or data set cannot do what is asked and says why; stored as ``skipped``."""


class ConfigDrift(BadInput):
    """A run folder holds results of another configuration than the one asked for."""


class IncompleteRun(ImedbenchError):
    """A figure was asked of a run in which some pairs have no answer."""
