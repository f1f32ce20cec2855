"""What the driver of a large cluster manages: workers that only sleep, and a great many pairs.

    python tests/soak/simulate.py --pairs 100000 --workers 128 --sleep 0.05

Prints rows a second, by the clock and by the driver's own processor time, and its memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import numpy as np

from imedbench.core.datasets import DatasetInfo, PairRef
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, ImagePair, Outcome, Split
from imedbench.runs.calls import CallResult, Task
from imedbench.runs.config import RunConfig
from imedbench.runs.executors import Execution
from imedbench.runs.runner import run


@dataclass
class Pairs:
    """As many pairs of one image of 64×64 px as asked for."""

    n: int
    info: DatasetInfo = field(default_factory=lambda: DatasetInfo("simulated", "noise"))

    def __post_init__(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
        self._image = Image(pixels, "cf")

    def refs(self, split: Split) -> list[PairRef]:
        """The pairs."""
        return [PairRef(f"{i}", split, "test", f"{i}", "cf", "octa") for i in range(self.n)]

    def load(self, ref: PairRef) -> ImagePair:
        """One pair."""
        return ImagePair(ref.pair_id, self._image, self._image, group=ref.group)

    def fingerprint(self, ref: PairRef) -> str:
        """Say what a pair is made from."""
        return ref.pair_id


class Sleeper:
    """A worker somewhere else: it takes its time and no processor."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def call(self, task: Task) -> CallResult:
        """Take the time of a call."""
        time.sleep(self.seconds)
        return CallResult(Outcome.OK, transform=Affine.identity(), latency_ms=1e3 * self.seconds)

    def close(self) -> None:
        """Nothing to end."""

    def end(self) -> None:
        """Nothing to end."""


def main() -> None:
    """Run once, and once more to resume."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=128)
    parser.add_argument("--sleep", type=float, default=0.05)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(
            *("synthetic", ("identity",), Path(folder) / "run", ("multi-modal",)),
            workers=asked.workers,
        )
        for what in ("made", "found again"):
            clock, processor = time.monotonic(), time.process_time()
            with patch.object(Execution, "caller", lambda *_: Sleeper(asked.sleep)):
                run(config, Pairs(asked.pairs))
            clock, processor = time.monotonic() - clock, time.process_time() - processor
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            print(
                f"{asked.pairs} rows {what}: {asked.pairs / clock:.0f}/s by the clock,"
                f" {asked.pairs / processor:.0f}/s by the driver's processor time"
                f" ({processor:.1f} s), {most} MiB at most"
            )


if __name__ == "__main__":
    main()
