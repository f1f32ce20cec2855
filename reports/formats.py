"""Numbers and texts as tables show them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def number(value: float | None, digits: int = 2) -> str:
    """Return a number for a table; a dash for none.

    Example:
        >>> number(1.005, 1), number(None), number(float("inf"))
        ('1.0', '–', '∞')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.{digits}f}" if math.isfinite(value) else "∞"


def line(text: Any) -> str:
    """Text on one line."""
    return " ".join(str(text).split())


def alt(text: Any) -> str:
    """Text for the brackets of a picture in Markdown."""
    return re.sub(r"[\[\]<>`\\]", " ", line(text))[:300]


def milliseconds(value: float | None) -> str:
    """Return a time in ms, with the digits that its size deserves."""
    return number(value, 0 if value is not None and value >= 10 else 2)


def interval(value: Any, digits: int = 2) -> str:
    """Return an estimate with its interval, as ``1.40 [1.21, 1.63]``."""
    if value is None:
        return "–"
    estimate, low, high = (number(v, digits) for v in (value.estimate, value.low, value.high))
    return f"{estimate} [{low}, {high}]"


def p_value(p: float) -> str:
    """Return a p value to three digits; a dash where there is none."""
    if math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def cell(text: Any) -> str:
    r"""Text for backticks in a cell of a Markdown table: it ends neither of them early.

    Example:
        >>> print(cell("a|b `c`"))
        a\|b 'c'
    """
    return line(text).replace("|", "\\|").replace("`", "'")[:300]


def prose(text: Any) -> str:
    r"""Text of others for a Markdown page: no markup, no HTML, on one line of a table.

    Example:
        >>> print(prose("<b>*a*</b>"))
        &lt;b&gt;\*a\*&lt;/b&gt;
    """
    escaped = cell(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([*_\[\]~])", r"\\\1", escaped)


_TEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\n": " ",
}


def tex(text: Any) -> str:
    r"""Escape what LaTeX would read as a command.

    Example:
        >>> tex("a_b & 5%")
        'a\\_b \\& 5\\%'
    """
    return "".join(_TEX.get(c, c) for c in str(text))


def ranked(row: Any, rows: Sequence[Any], metric: str, digits: int) -> str:
    """Write a mean with its interval for LaTeX: the best row's bold, the second's underlined."""
    mean = row.means.get(metric)
    if mean is None or math.isnan(mean.estimate):
        return "--"
    text = number(mean.estimate, digits).replace("∞", r"$\infty$")
    others = sorted({number(r.mean(metric), digits) for r in rows if metric in r.means}, key=float)
    place = others.index(number(mean.estimate, digits)) if len(others) > 1 else -1
    text = {0: rf"\textbf{{{text}}}", 1: rf"\underline{{{text}}}"}.get(place, text)
    return f"{text} [{number(mean.low, digits)}, {number(mean.high, digits)}]".replace("–", "--")


def code(text: str) -> Markup:
    """Turn the backticks of our own sentences into HTML, with everything else escaped.

    Example:
        >>> str(code("`a<b` wins"))
        '<code>a&lt;b</code> wins'
    """
    from markupsafe import Markup, escape

    parts = text.split("`")
    marked = [f"<code>{escape(p)}</code>" if i % 2 else str(escape(p)) for i, p in enumerate(parts)]
    return Markup("".join(marked))


def render(template: str, **content: Any) -> str:
    """Fill a template of the reports with what it names."""
    return _environment().get_template(template).render(content)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("imedbench.reports"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html.j2"], default=False),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    shown = (number, interval, cell, prose, line, alt, code, milliseconds, tex, ranked)
    environment.filters.update({f.__name__: f for f in shown}, p=p_value)
    return environment
