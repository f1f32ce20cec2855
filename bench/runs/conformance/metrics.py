"""Whether a metric keeps to its contract."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

from imedbench.core.arrays import plain
from imedbench.core.metrics import Metric, MetricInfo, Need
from imedbench.core.randomness import seed_everything
from imedbench.core.registry import METRICS
from imedbench.core.transforms import Affine, Transform
from imedbench.runs.conformance.checker import Checker, Stop
from imedbench.runs.conformance.findings import Limits, Report
from imedbench.runs.conformance.known_motion import MOTION
from imedbench.runs.conformance.known_pairs import (
    SPACING_UM,
    KnownPair,
    kinds_of_pairs,
    snapshot,
)
from imedbench.runs.plugin_source import describe_kind

_ORDINARY = "pairs of images"  # the first of `kinds_of_pairs`
_NEEDS: tuple[Need, ...] = get_args(Need)
_STEP = Affine([[1, 0, 3], [0, 1, 4]])  # 5 px off
_FAR = Affine([[1, 0, 24], [0, 1, 32]])  # 40 px off
_BEYOND = Affine([[1.0, 0.0, 1e4], [0.0, 1.0, 0.0]])  # the images share nothing
_NOTHING = "where there is nothing to measure, return float('nan')"
_EQUAL = 1e-6
_ROUNDING = 1e-4  # of values by which nothing can be told


def check_metric(name: str, limits: Limits | None = None) -> Report:
    """Try a metric on drawn pairs whose right transform is known.

    Args:
        name: as it is registered.
        limits: what one call may take.

    Raises:
        BadInput: when there is no such metric.
    """
    return _MetricChecker(METRICS, name, limits or Limits()).checked()


class _MetricChecker(Checker[Metric]):
    """One metric under test."""

    def run(self) -> None:
        """Check after check; the first ones decide whether the others make sense."""
        self.check_options()
        self._set_up()
        pairs = kinds_of_pairs()
        self.pair = pairs[_ORDINARY]
        for check, pair in pairs.items():
            self._measure(check, pair, MOTION)
            if any(fault.check == _ORDINARY for fault in self.report.faults):
                self._needs()
                raise Stop
            self.report.passes(f"it measures {check}", check)
        self._nothing_shared()
        self._same_value()
        self._better_is_better()
        if "landmarks" in self.info.needs:
            self._landmark_error()
        self.check_manners("a measurement")

    def _set_up(self) -> None:
        report, metric = self.report, self.create()
        if not isinstance(metric, Metric) or not isinstance(metric.info, MetricInfo):
            report.fault(
                "info", "it is no metric: write @register_metric(MetricInfo(…)) above a function"
            )
            raise Stop
        self.metric, self.info = metric, metric.info
        if self.info.name != report.name:
            report.fault(
                "info", f"info.name is {self.info.name!r}, it is registered as {report.name!r}"
            )
        needs: Any = self.info.needs
        wrong = {needs} if isinstance(needs, str) else set(needs) - set(_NEEDS)
        if wrong:
            report.fault(
                "info",
                f"needs {', '.join(map(repr, sorted(wrong)))}, which no pair offers, so that"
                f" nothing is ever measured: needs=frozenset({{…}}) of {', '.join(_NEEDS)}",
            )
            raise Stop
        report.passes("it is set up and says what it is", "info", "setting up")

    def _measure(
        self, check: str, pair: KnownPair, found: Transform, *, seed: int = 0, hint: str = ""
    ) -> float:
        """Measure one pair under one transform; NaN where that is a fault."""
        case = pair.registered(found, self.info.needs)
        before = snapshot(case)
        seed_everything(seed)
        measured, value = self.attempt(check, lambda: self.metric.compute(case), hint)
        if snapshot(case) != before:
            self.report.fault(
                "input", "it changes what it is given, and other metrics see it: work on a copy()"
            )
        return self._number(check, value) if measured else math.nan

    def _number(self, check: str, value: Any) -> float:
        number = value if isinstance(value, float) else plain(value)
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            self.report.fault(
                check, f"it returned {describe_kind(value)}; return one number, float"
            )
            return math.nan
        if math.isinf(number):
            self.report.fault(check, f"it returned {number}; {_NOTHING}")
        elif math.isnan(number) and check == _ORDINARY:
            self.report.fault(
                check, "it returned NaN for an ordinary pair, which tables count as no value"
            )
        return float(number)

    def _needs(self) -> None:
        """Find out which undeclared need would keep it from raising."""
        raised = [fault for fault in self.report.faults if fault.trace]
        for need in sorted(set(_NEEDS) - self.info.needs) if raised else ():
            case = self.pair.registered(MOTION, self.info.needs | {need})
            if _succeeds(lambda case=case: self.metric.compute(case)):  # type: ignore[misc]
                self.report.faults.clear()
                self.report.fault(
                    "needs",
                    f"it uses what its info does not name: needs=frozenset({{{need!r}}})",
                    raised[0].line,
                    raised[0].trace,
                )
                return

    def _nothing_shared(self) -> None:
        check = "images that share nothing"
        self._measure(check, self.pair, _BEYOND, hint=_NOTHING)
        self.report.passes("it bears images that share nothing", check)

    def _same_value(self) -> None:
        check, right = "repeated measurement", MOTION
        self._measure(check, self.pair, right)
        first = self._measure(check, self.pair, right)
        again = self._measure(check, self.pair, right, seed=1)
        self._measure(check, self.pair, MOTION.then(_FAR))
        after = self._measure(check, self.pair, right)
        if not _alike(first, again, 0):
            self.report.fault(
                check, f"the same pair gives {first:.6g} and {again:.6g}: draw nothing at random"
            )
        elif not _alike(first, after, 0):
            self.report.fault(check, "its value depends on the pair before: keep no state")
        self.report.passes("it gives one value, whatever came before", check)

    def _better_is_better(self) -> None:
        """See that the right transform scores best, in the direction that its info names."""
        check, report = "direction", self.report
        right, near, far = (
            self._measure(check, self.pair, MOTION.then(off))
            for off in (Affine.identity(), _STEP, _FAR)
        )
        sign = 1 if self.info.higher_is_better else -1
        named = "higher" if self.info.higher_is_better else "lower"
        values = (
            f"{right:.4g} for the right transform, {near:.4g} when 5 px off, {far:.4g} at 40 px"
        )
        if sign * right + _ROUNDING < min(sign * near, sign * far):
            report.fault(
                check,
                f"{values}: the right one scores worst, for info says that {named} is better;"
                f" set higher_is_better={not self.info.higher_is_better}, or turn the value round",
            )
        elif sign * right + _ROUNDING < max(sign * near, sign * far):
            report.remark(f"it gives {values}: it does not always prefer the right transform")
        elif right == near == far:
            report.remark(f"it gives {right:.4g} whether the transform is right or 40 px off")
        else:
            report.passes(f"the right transform scores best: {values}", check)

    def _landmark_error(self) -> None:
        """Check the values that are known: 0 where landmarks meet, 5 where each is 5 px off."""
        unit, check, report = self.info.unit, "known errors", self.report
        if unit not in ("px", "µm") or self.info.higher_is_better:
            return
        right = self._measure(check, self.pair, MOTION)
        if not _alike(right, 0, _EQUAL):
            backwards = self._measure(check, self.pair, MOTION.inverse())
            told = (
                f"0 {unit} is due where every landmark lies where it belongs, it gives {right:.4g}"
            )
            if _alike(backwards, 0, _EQUAL):
                told += (
                    "; it is 0 under the inverse: fixed_from_moving takes moving points to fixed"
                )
            report.fault(check, told)
            return
        value = self._measure(check, self.pair, MOTION.then(_STEP))
        due, other = (5.0, 5 * SPACING_UM) if unit == "px" else (5 * SPACING_UM, 5.0)
        told = f"{due:g} {unit} is due where every landmark is 5 px off, it gives {value:.4g}"
        if _alike(value, other, _EQUAL):
            report.fault(check, f"{told}: px times case.truth.spacing_um is µm; its unit is {unit}")
        elif not (_alike(value, due, 1e-3) or _alike(value, 0, _EQUAL)):
            report.fault(check, f"{told}; if it is no distance, its unit is not {unit}")
        report.passes("it gives the landmark errors that are known", check)


def _succeeds(call: Callable[[], object]) -> bool:
    try:
        call()
    except Exception:
        return False
    return True


def _alike(one: float, other: float, tolerance: float) -> bool:
    return abs(one - other) <= tolerance or (math.isnan(one) and math.isnan(other))
