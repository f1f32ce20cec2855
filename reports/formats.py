"""Numbers and texts as tables show them."""

from __future__ import annotations

import math
from typing import Any


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table; a dash for none.

    Example:
        >>> number(1.005, 1), number(None), number(float("inf"))
        ('1.0', '–', '∞')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.{digits}f}" if math.isfinite(value) else "∞"


def interval(value: Any, digits: int = 2) -> str:
    """An estimate with its interval, as ``1.40 [1.21, 1.63]``."""
    if value is None:
        return "–"
    estimate, low, high = (number(v, digits) for v in (value.estimate, value.low, value.high))
    return f"{estimate} [{low}, {high}]"


def p_value(p: float) -> str:
    """A p value to three digits; a dash where there is none."""
    if math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def cell(text: Any) -> str:
    """Text that does not end a cell of a Markdown table early."""
    return str(text).replace("|", "\\|").replace("\n", " ")
