"""`imedbench` on the command line."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from imedbench.cli import app

    app()


if __name__ == "__main__":
    main()
