"""The command line, with errors that a person can act on in one line."""

from __future__ import annotations

# Ctrl-C before `main` ends in a traceback, so that nothing is imported here that takes time.
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Exit codes; 1 is "judged: no" and 3 "incomplete", which commands say themselves.
BAD_INPUT, ENVIRONMENT, UNKNOWN, INTERRUPTED = 2, 4, 70, 130
TRACEBACK = "--traceback"


def main() -> None:
    """Run the command line; an error is one line on stderr and an exit code that says its kind."""
    wants_traceback = TRACEBACK in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != TRACEBACK]
    try:
        from imedbench.cli import app

        # Commands end by an exit code; what they do not say themselves is said here.
        code = app(arguments, standalone_mode=False)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        if wants_traceback:
            import traceback

            traceback.print_exc()
        code, text = _explain(error)
        if text:
            print(f"error: {text}", file=sys.stderr)
    sys.exit(code or 0)


def _explain(error: Exception) -> tuple[int, str]:
    """The exit code and the line for an error."""
    import sqlite3

    from imedbench.core.errors import BadEnvironment, ImedbenchError, unusable
    from imedbench.core.text import as_text

    if hasattr(error, "format_message"):  # typer's: what was typed is no command, or its options
        return BAD_INPUT, _usage(error)
    text = as_text(error, limit=2000)
    if isinstance(error, BadEnvironment):
        return ENVIRONMENT, text
    if isinstance(error, ImedbenchError):
        return BAD_INPUT, text
    if isinstance(error, OSError):
        told = unusable(error.filename or "the system", "refused", error)
        return _explain(told)
    if isinstance(error, sqlite3.Error):
        return ENVIRONMENT, f"the run's database cannot be used: {text}"
    if isinstance(error, MemoryError):
        return ENVIRONMENT, f"not enough memory: {text}"
    kind = type(error).__name__
    return UNKNOWN, f"unexpected {kind}: {text}; {TRACEBACK} shows where, please report it"


def _usage(error: Any) -> str:
    """What is wrong with a command line; nothing where it was empty and its help is shown."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return ""
    from imedbench.core.text import as_text

    command = error.ctx.command_path if getattr(error, "ctx", None) else "imedbench"
    return f"{as_text(error.format_message())} ({command} --help)"


if __name__ == "__main__":
    main()
