"""Whether a method keeps to its contract."""

from __future__ import annotations

from typing import Any

import numpy as np

from imedbench.core.arrays import Pixels
from imedbench.core.errors import Declined
from imedbench.core.randomness import seed_everything
from imedbench.core.registry import METHODS
from imedbench.core.transforms import Affine, warp_image
from imedbench.core.types import Image, Method, MethodInfo, Outcome, Registration
from imedbench.runs.calls import judge
from imedbench.runs.conformance.checker import Checker, Stop
from imedbench.runs.conformance.findings import Limits, Report
from imedbench.runs.conformance.known_motion import (
    MOTION,
    NEAR,
    draw_eye,
    is_same_answer,
    kinds_of_images,
    name_mistake,
)
from imedbench.runs.plugin_source import describe_kind

_WHAT_TO_RETURN = (
    "return Registration(transform), with Affine, Homography, DenseField … from"
    " imedbench.core.transforms, or Registration.failed('why')"
)
_COLOUR = "of a colour image pixels are H×W×3; image.grey() is H×W"
_NOTHING_TO_FIND = "where there is nothing to find, return Registration.failed('why')"
_HINTS = {  # for who gets as far as here
    "colour images": _COLOUR,
    "colour with grey": _COLOUR,
    "images of unequal sizes": "the two images need not be of one size",
    "images of 24 px": _NOTHING_TO_FIND,
    "blank images": _NOTHING_TO_FIND,
}

# Pairs of one size with something to find, each moved or drawn in another way.
_OF_ONE_SIZE = ("grey images", "colour images", "colour with grey", "mirrored image")
_STILL = Registration(Affine.identity())


def check_method(name: str, limits: Limits | None = None) -> Report:
    """Try a method on small drawn images and known motions.

    Args:
        name: as it is registered, with options if need be.
        limits: what one call may take.

    Returns:
        What it kept to and what it did not.

    Raises:
        BadInput: when there is no such method.
        Declined: when it says that it cannot run here.
    """
    return _MethodChecker(METHODS, name, limits or Limits()).checked()


class _MethodChecker(Checker[Method]):
    """One method under test."""

    def run(self) -> None:
        """Set up, then check after check; the first two decide whether the others make sense."""
        self.check_options()
        self._set_up()
        eye = draw_eye()
        answers = {"known motion": self._direction(eye)}
        for check, fixed, moving in kinds_of_images(eye):
            answers[check] = self._call(check, fixed, moving)
            self.report.passes(f"it answers on {check}", check)
        answers["mirrored image"] = self._same_answer(eye)
        self._looks(answers)
        self.check_manners("a call")

    def _set_up(self) -> None:
        report, name = self.report, self.report.name.split(":")[0]
        self.method = self.create()
        told, info = self.attempt("setting up", lambda: self.method.info)
        ready, _ = self.attempt("setting up", lambda: self.method.prepare("cpu"))
        if not (told and ready):
            raise Stop
        if not isinstance(info, MethodInfo):
            report.fault("info", f"info is {describe_kind(info)}; it must be a MethodInfo(…)")
            raise Stop
        if info.name != name:
            report.fault("info", f"info.name is {info.name!r}, it is registered as {name!r}")
        if (info.weights_licence == "none") != (info.weights == ""):
            report.fault(
                "info", "weights and weights_licence belong together: give both or neither"
            )
        report.passes("it is set up and says what it is", "setting up", "info")

    def _direction(self, eye: Pixels) -> Registration | None:
        """Tell the commonest mistakes, a transform the wrong way round or with swapped axes."""
        moving = Image(warp_image(eye, MOTION, eye.shape), "octa")
        found = self._call("known motion", Image(eye, "octa"), moving)
        if found is None or found.fixed_from_moving is None:
            self.report.remark("it finds nothing on an image and its turned copy")
            return None
        mistake, off = name_mistake(found.fixed_from_moving)
        if mistake:
            self.report.fault("direction", f"its transform is {mistake}")
        elif off > NEAR:
            self.report.remark(
                f"on an image and its turned copy it is {off:.1f} px off, so that the direction of"
                " its transforms could not be checked"
            )
        else:
            self.report.passes(
                "its transforms point from the moving image to the fixed one", "direction"
            )
        return found

    def _looks(self, answers: dict[str, Registration | None]) -> None:
        """Tell a method that gives one transform whatever it is shown."""
        found = {check: a for check, a in answers.items() if a and a.fixed_from_moving is not None}
        known = found.get("known motion")
        others = [found[check] for check in _OF_ONE_SIZE if check in found]
        if known is None or not others:
            return
        if not all(is_same_answer(known, other) for other in others):
            self.report.passes("its answers depend on what the images show", "looking")
        elif self.method.info.family == "identity" and is_same_answer(known, _STILL):
            self.report.remark("it leaves every image where it is, as its family says: a baseline")
        elif is_same_answer(known, found.get("images of unequal sizes", known)):
            self.report.fault(
                "looking",
                "it returns the same transform for differently warped pairs: it does not look at"
                " the images; where it finds nothing, return Registration.failed('why')",
            )
        else:
            self.report.remark(
                "it returns the same transform for all pairs of one size: it looks at the sizes of"
                " the images, not at what they show"
            )

    def _same_answer(self, eye: Pixels) -> Registration | None:
        """Ask again, another pair in between, whose answer is returned."""
        moving = Image(warp_image(eye, MOTION, eye.shape), "octa")
        other = Image(np.ascontiguousarray(eye[:, ::-1]), "octa")
        pair = Image(eye, "octa"), moving
        self._call("repeated call", *pair)
        first, second = (self._call("repeated call", *pair) for _ in range(2))
        between = self._call("repeated call", other, moving)
        third = self._call("repeated call", *pair)
        if not is_same_answer(first, second):
            self.report.fault(
                "repeated call", "the same pair and seed give two answers: draw from numpy's,"
                " random's or torch's own generators, which are seeded, or from a fixed seed"
            )  # fmt: skip
        elif not is_same_answer(first, third):
            self.report.fault(
                "repeated call", "its answer depends on the pair before: keep no state"
            )
        self.report.passes("it gives one answer, whatever came before", "repeated call")
        return between

    def _call(self, check: str, fixed: Image, moving: Image) -> Registration | None:
        """Call it once, on copies; what it returns if that is a Registration fit to be stored."""
        seed_everything(0)
        fixed, moving = (Image(i.pixels.copy(), i.modality) for i in (fixed, moving))
        before = fixed.pixels.copy(), moving.pixels.copy()
        try:
            answered, answer = self.attempt(
                check, lambda: self.method.register(fixed, moving), self._hint(check)
            )
        except Declined as reason:
            self.report.remark(f"{check}: it declines, {reason}")
            return None
        if not all(map(np.array_equal, (fixed.pixels, moving.pixels), before)):
            self.report.fault("input", "it changes the images it is given: work on pixels.copy()")
        return self._judged(check, answer, fixed, moving) if answered else None

    def _hint(self, check: str) -> str:
        """What an exception means in a check, if grey images of one size raise none."""
        easy = ("known motion", "grey images")
        raises = any(fault.trace for fault in self.report.faults if fault.check in easy)
        return "" if raises else _HINTS.get(check, "")

    def _judged(self, check: str, answer: Any, fixed: Image, moving: Image) -> Registration | None:
        """The answer, unless it cannot be stored."""
        if not isinstance(answer, Registration):
            self.report.fault(check, f"it returned {describe_kind(answer)}; {_WHAT_TO_RETURN}")
            return None
        result = judge(answer, fixed, moving)
        if result.outcome is Outcome.CRASH:
            self.report.fault(check, f"its answer cannot be used: {result.reason}")
            return None
        if check == "known motion" and result.outcome is Outcome.DEGENERATE:
            self.report.fault(check, f"its transform cannot be right: {result.reason}")
        return answer
