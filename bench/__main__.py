"""The command line, with errors that a person can act on in one line."""

from __future__ import annotations

import sys

from imedbench.core.errors import ImedbenchError

BAD_INPUT = 2  # exit code


def main() -> None:
    """Run the command line; a known error is one line on stderr and exit code 2."""
    from imedbench.cli import app

    try:
        app()
    except ImedbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
