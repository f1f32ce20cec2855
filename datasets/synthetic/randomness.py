"""Named random streams: each part of an image draws from a stream of its own.

Adding a draw to one part therefore changes no other part, and nothing depends on the order or the
process in which images are made.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the generator that belongs to a seed and a name.

    Args:
        seed: any non-negative integer.
        names: what the numbers are for, such as ``"tree", "arteries"`` or ``"pair", 3``.

    Returns:
        A fresh generator; the same arguments always give the same numbers.

    Example:
        >>> bool(stream(1, "disc").random() == stream(1, "disc").random())
        True
        >>> bool(stream(1, "disc").random() == stream(1, "fovea").random())
        False
    """
    words = [n if isinstance(n, int) else crc32(n.encode()) for n in names]
    # The count keeps (a,) and (a, 0) apart: a seed sequence ignores trailing zeros.
    return np.random.default_rng(np.random.SeedSequence([seed, len(words), *words]))


def derived_seed(seed: int, *names: str | int) -> int:
    """Return a seed that belongs to a seed and a name: for the n-th eye of a set, say.

    Returns:
        A number below 2³¹.
    """
    return int(stream(seed, *names).integers(2**31))
