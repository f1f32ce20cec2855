"""A short name for content."""

from __future__ import annotations

import hashlib


def digest_of(*parts: str | bytes) -> str:
    """Hash texts and contents of files to twelve hexadecimal digits; where one ends counts."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()[:12]
