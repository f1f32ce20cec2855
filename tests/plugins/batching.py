"""A method that works on several pairs at once, and fails at it in every way."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from imedbench.core.methods import PairToRegister
from imedbench.core.randomness import seed_everything
from imedbench.core.registry import METHODS
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, MethodInfo, Registration


@METHODS.register("batching")
class Batching:
    """Shifts by a random number of pixels; acts by the modality of the fixed image."""

    def __init__(self, *, size: int = 3) -> None:
        self.info = MethodInfo("batching", "in batches", "affine", batch_size={"cpu": size})

    def prepare(self, device: str) -> None:
        """Nothing to load."""

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Shift, or die where that is asked for."""
        if fixed.modality == "die":
            os._exit(7)
        if fixed.modality == "give-up":
            return Registration.failed("nothing to hold on to")
        return Registration(Affine([[1, 0, np.random.rand()], [0, 1, 0]]))

    def register_batch(self, pairs: Sequence[PairToRegister]) -> Sequence[Any]:
        """Register each, or fail as the first one asks for."""
        acts = {pair.fixed.modality for pair in pairs}
        if "raise-together" in acts:
            raise RuntimeError("does not fit together")
        if "hang-together" in acts:
            time.sleep(3600)
        answers: list[Any] = []
        for pair in pairs:
            seed_everything(pair.seed)
            answers.append(self.register(pair.fixed, pair.moving))
        if "no-answer" in acts:
            answers = [
                a if p.fixed.modality != "no-answer" else None
                for a, p in zip(answers, pairs, strict=True)
            ]
        return answers[1:] if "one-too-few" in acts else answers
