"""A method whose work is done by a program of its own."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from imedbench.core.programs.answers import Estimate, read_answer
from imedbench.core.programs.link import Link
from imedbench.core.programs.programs import Program
from imedbench.core.types import Image, MethodInfo, Registration


@dataclass
class ProgramMethod:
    """A method that asks a program.

    Args:
        info: what the method is; what it runs in is added.
        program: what is asked.
        options: sent to it once, when it is greeted.
        estimate: fits a transform to matches, for a program that only finds those.
    """

    info: MethodInfo
    program: Program
    options: Mapping[str, Any] = field(default_factory=dict)
    estimate: Estimate | None = None

    def __post_init__(self) -> None:
        version = f"{self.info.version} {self.program.identity()}"
        self.info = replace(self.info, version=version, environment=self.program.text())
        self._device = "cpu"
        self._link: Link | None = None

    def prepare(self, device: str) -> None:
        """Start the program and let it set itself up."""
        self._device = device
        self._start()

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Ask the program; one that has ended since is started again."""
        if self._link is None or not self._link.is_open:
            self._start()
        assert self._link is not None
        # Drawn from the generator that is seeded before each call.
        header = {"type": "register", "seed": random.getrandbits(31)}
        images = {"fixed": fixed, "moving": moving}
        facts = {n: {"modality": i.modality, "spacing_um": i.spacing_um} for n, i in images.items()}
        reply, arrays = self._link.ask(
            {**header, **facts}, {name: image.pixels for name, image in images.items()}
        )
        found = read_answer(reply, arrays, fixed, moving, self.estimate)
        shown = found.diagnostics
        values = {**self._values, **shown.values}
        return replace(found, diagnostics=replace(shown, values=values))

    def _start(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = self.program.start()
        said = self._link.greet(
            {
                "device": self._device,
                "threads": int(os.environ.get("OMP_NUM_THREADS") or 1),
                "options": dict(self.options),
                "packages": list(self.program.packages),
            }
        )
        values = said.get("values")
        self._values: dict[str, Any] = dict(values) if isinstance(values, dict) else {}
