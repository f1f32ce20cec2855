"""The command line, with errors that a person can act on in one line."""

from __future__ import annotations

import sqlite3
import sys
import traceback

# Exit codes; 1 is "judged: no" and 3 "incomplete", which commands say themselves.
BAD_INPUT, ENVIRONMENT, UNKNOWN, INTERRUPTED = 2, 4, 70, 130
TRACEBACK = "--traceback"


def main() -> None:
    """Run the command line; an error is one line on stderr and an exit code that says its kind."""
    wants_traceback = TRACEBACK in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != TRACEBACK]
    try:
        from imedbench.cli import app

        app(arguments)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if wants_traceback:
            traceback.print_exc()
        code, text = _explain(error)
        print(f"error: {text}", file=sys.stderr)
        sys.exit(code)


def _explain(error: Exception) -> tuple[int, str]:
    """The exit code and the line for an error."""
    from imedbench.core.errors import BadEnvironment, ImedbenchError
    from imedbench.core.text import as_text

    text = as_text(error, limit=2000)
    if isinstance(error, BadEnvironment):
        return ENVIRONMENT, text
    if isinstance(error, ImedbenchError):
        return BAD_INPUT, text
    if isinstance(error, OSError):
        return ENVIRONMENT, f"the system refuses: {text}"
    if isinstance(error, sqlite3.Error):
        return ENVIRONMENT, f"the run's database cannot be used: {text}"
    if isinstance(error, MemoryError):
        return ENVIRONMENT, f"not enough memory: {text}"
    kind = type(error).__name__
    return UNKNOWN, f"unexpected {kind}: {text}; {TRACEBACK} shows where, please report it"


if __name__ == "__main__":
    main()
