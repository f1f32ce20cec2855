"""Whether a method keeps to its contract: what `imedbench check` runs, fault by fault."""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from imedbench.core.arrays import Pixels
from imedbench.core.errors import Declined
from imedbench.core.options import option_defaults, option_types
from imedbench.core.randomness import seed_everything
from imedbench.core.registry import METHODS
from imedbench.core.text import as_text
from imedbench.core.transforms import warp_image
from imedbench.core.types import Image, Method, MethodInfo, Outcome, Registration
from imedbench.runs.calls import judge
from imedbench.runs.findings import Fault, Report
from imedbench.runs.known_motion import (
    MOTION,
    NEAR,
    draw_eye,
    is_same_answer,
    kinds_of_images,
    name_mistake,
)
from imedbench.runs.plugin_source import (
    describe_kind,
    quote_line,
    read_documentation,
    write_trace,
)
from imedbench.runs.side_effects import watch_side_effects

_SECONDS = 60.0  # a run's own limit, unless told otherwise
_WHAT_TO_RETURN = (
    "return Registration(transform), with Affine, Homography, DenseField … from"
    " imedbench.core.transforms, or Registration.failed('why')"
)
_NOT_AN_ARRAY = (
    "an Image is no array: its pixels are image.pixels (uint8, H×W or H×W×3), its grey levels"
    " image.grey()"
)


class _Stop(Exception):
    """A fault after which the other checks make no sense."""


def check_method(name: str, seconds: float = _SECONDS) -> Report:
    """Try a method on small drawn images and known motions.

    Args:
        name: as it is registered, with options if need be.
        seconds: that one call may take.

    Returns:
        What it kept to and what it did not.

    Raises:
        BadInput: when there is no such method.
        Declined: when it says that it cannot run here.
    """
    checker = _Checker(name, seconds)
    with contextlib.suppress(_Stop):
        checker.run()
    return checker.report


class _Checker:
    """One method under test; every check is a method of this class."""

    def __init__(self, name: str, seconds: float) -> None:
        self.report, self.seconds = Report(name), seconds
        self.factory = METHODS.factory(name.split(":")[0])

    def run(self) -> None:
        """Set up, then check after check; the first two decide whether the others make sense."""
        self._options()
        self._set_up()
        eye = draw_eye()
        self._direction(eye)
        for check, fixed, moving in kinds_of_images(eye):
            self._call(check, fixed, moving)
            self._pass(f"it answers on {check}", check)
        self._same_answer(eye)
        self._confined()

    def _options(self) -> None:
        types, defaults = option_types(self.factory), option_defaults(self.factory)
        doc = read_documentation(self.factory)
        for option in types:
            if option not in defaults:
                self._fault("options", f"option {option} has no default; a method runs without any")
            elif not re.search(rf"\b{option}\b", doc):
                self._fault("options", f"option {option} is documented nowhere; add it to Args:")
        self._pass("options have defaults and are documented", "options")

    def _set_up(self) -> None:
        name = self.report.name
        with self._watched("setting up"):
            try:
                self.method: Method = METHODS.create(name)
                info = self.method.info
                self.method.prepare("cpu")
            except Declined:
                raise
            except Exception as error:
                self._raised("setting up", error.__cause__ or error)
                raise _Stop from None
        if not isinstance(info, MethodInfo):
            self._fault("info", f"info is a {type(info).__name__}; it must be a MethodInfo(…)")
            raise _Stop
        if info.name != name.split(":")[0]:
            self._fault("info", f"info.name is {info.name!r}, it is registered as {name!r}")
        if (info.weights_licence == "none") != (info.weights == ""):
            self._fault("info", "weights and weights_licence belong together: give both or neither")
        self._pass("it is set up and says what it is", "setting up", "info")

    def _direction(self, eye: Pixels) -> None:
        """Tell the commonest mistakes, a transform the wrong way round or with swapped axes."""
        moving = Image(warp_image(eye, MOTION, eye.shape), "octa")
        found = self._call("known motion", Image(eye, "octa"), moving)
        if found is None or found.fixed_from_moving is None:
            self.report.remarks.append("it finds nothing on an image and its turned copy")
            return
        mistake, off = name_mistake(found.fixed_from_moving)
        if mistake:
            self._fault("direction", f"its transform is {mistake}")
        elif off > NEAR:
            self.report.remarks.append(
                f"on an image and its turned copy it is {off:.1f} px off, so that the direction of"
                " its transforms could not be checked"
            )
        else:
            self._pass("its transforms point from the moving image to the fixed one", "direction")

    def _same_answer(self, eye: Pixels) -> None:
        moving = Image(warp_image(eye, MOTION, eye.shape), "octa")
        other = Image(np.ascontiguousarray(eye[:, ::-1]), "octa")
        pair = Image(eye, "octa"), moving
        self._call("repeated call", *pair)
        first, second = (self._call("repeated call", *pair) for _ in range(2))
        self._call("repeated call", other, moving)
        third = self._call("repeated call", *pair)
        if not is_same_answer(first, second):
            self._fault(
                "repeated call", "the same pair and seed give two answers: draw from numpy's,"
                " random's or torch's own generators, which are seeded, or from a fixed seed"
            )  # fmt: skip
        elif not is_same_answer(first, third):
            self._fault("repeated call", "its answer depends on the pair before: keep no state")
        self._pass("it gives one answer, whatever came before", "repeated call")

    def _confined(self) -> None:
        self._pass("it leaves its input alone", "input")
        self._pass("it writes nothing, prints nothing and stays off the network", "side effects")
        self._pass(f"a call takes less than {self.seconds:g} s", "time")

    def _call(self, check: str, fixed: Image, moving: Image) -> Registration | None:
        """Call it once, on copies; what it returns if that is a Registration fit to be stored."""
        seed_everything(0)
        fixed, moving = (Image(i.pixels.copy(), i.modality) for i in (fixed, moving))
        before = fixed.pixels.copy(), moving.pixels.copy()
        start = time.perf_counter()
        with self._watched(check):
            try:
                answer: Any = self.method.register(fixed, moving)
            except Declined as reason:
                self.report.remarks.append(f"{check}: it declines, {reason}")
                return None
            except Exception as error:
                self._raised(check, error)
                return None
        spent = time.perf_counter() - start
        if spent > self.seconds:
            self._fault("time", f"{check}: {spent:.1f} s, more than the {self.seconds:g} s allowed")
        if not all(map(np.array_equal, (fixed.pixels, moving.pixels), before)):
            self._fault("input", "it changes the images it is given: work on pixels.copy()")
        if not isinstance(answer, Registration):
            self._fault(check, f"it returned {describe_kind(answer)}; {_WHAT_TO_RETURN}")
            return None
        result = judge(answer, fixed, moving)
        if result.outcome is Outcome.CRASH:
            self._fault(check, f"its answer cannot be used: {result.reason}")
            return None
        if check == "known motion" and result.outcome is Outcome.DEGENERATE:
            self._fault(check, f"its transform cannot be right: {result.reason}")
        return answer

    @contextlib.contextmanager
    def _watched(self, check: str) -> Iterator[None]:
        """Notice what is written, printed and sent meanwhile."""
        before, printed = _listing(), io.StringIO()
        with watch_side_effects() as events, contextlib.redirect_stdout(printed):
            yield
        for text in dict.fromkeys(events):
            self._fault("side effects", f"{check}: it {text}")
        for name in sorted(_listing() - before):
            self._fault("side effects", f"{check}: it leaves {name} in the working folder")
        if printed.getvalue().strip():
            first = printed.getvalue().strip().splitlines()[0]
            self._fault("side effects", f"{check}: it prints {first!r}; use diagnostics or logging")

    def _raised(self, check: str, error: BaseException) -> None:
        text = f"{type(error).__name__}: {as_text(error)}"
        if re.search(r"'Image' object|Expected Ptr<cv::UMat>|dtype\('O'\)|bad argument.*src", text):
            text = f"{text}; {_NOT_AN_ARRAY}"
        self._fault(check, text, quote_line(error), write_trace(error))

    def _fault(self, check: str, text: str, line: str = "", trace: str = "") -> None:
        fault = Fault(check, text, line, trace)
        if all((f.check, f.text) != (check, text) for f in self.report.faults):
            self.report.faults.append(fault)

    def _pass(self, text: str, *checks: str) -> None:
        if not any(fault.check in checks for fault in self.report.faults):
            self.report.passed += [text] if text not in self.report.passed else []


def _listing() -> set[str]:
    return {path.name for path in Path.cwd().iterdir()}
