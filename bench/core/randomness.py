"""The random numbers that methods and metrics draw, made repeatable."""

from __future__ import annotations

import sys
from typing import Any


def seed_everything(seed: int) -> None:
    """Seed every generator a method may draw from, so that a call again does the same work."""
    import random

    import cv2
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    cv2.setRNGSeed(seed)
    torch: Any = sys.modules.get("torch")
    if torch:
        torch.manual_seed(seed)
