"""Packaging that pyproject.toml cannot say: the README as package indexes show it."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup


def standing_alone(text: str) -> str:
    """Return the README without pictures and links to files that lie beside it in the sources."""
    beside = r"\((?!https?://|#)[^)]+\)"
    text = re.sub(rf"!\[[^]]*\]{beside}\n*", "", text)
    text = re.sub(rf"\[([^]]+)\]{beside}", r"\1", text)
    return re.sub(r"<!--.*?-->\n*", "", text, flags=re.DOTALL)


readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
setup(long_description=standing_alone(readme), long_description_content_type="text/markdown")
