"""Text of strangers, made fit for one line of any file or terminal."""

from __future__ import annotations

MAX_TEXT = 500  # characters of a reason: more is no reason but a log


def as_text(value: object, limit: int = MAX_TEXT) -> str:
    r"""Write a stranger's value on one line of at most ``limit`` characters, fit for any file.

    Example:
        >>> as_text("two\n lines")
        'two lines'
    """
    try:
        text = str(value)[: 4 * limit]
    except Exception:
        text = f"a {type(value).__name__} that cannot be printed"
    text = text.encode(errors="replace").decode()
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
