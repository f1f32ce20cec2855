"""What the checks of all kinds of plugins share: calling it under observation."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from imedbench.core.errors import BadInput, Declined
from imedbench.core.options import option_defaults, option_types
from imedbench.core.registry import Registry
from imedbench.core.text import as_text
from imedbench.runs.conformance.findings import Limits, Report
from imedbench.runs.conformance.side_effects import watch_side_effects
from imedbench.runs.conformance.spending import Spent, Stopped, ended_after, metered
from imedbench.runs.plugin_source import quote_line, read_documentation, write_trace

T = TypeVar("T")
_NOT_AN_ARRAY = (
    "an Image is no array: its pixels are image.pixels (uint8, H×W or H×W×3), its grey levels"
    " image.grey()"
)
_TAKEN_FOR_ARRAY = r"'Image' object|Expected Ptr<cv::UMat>|dtype\('O'\)|bad argument.*src"
_FEW_BYTES = 0.01  # GiB; the system counts pages, and Python keeps some


class Stop(Exception):
    """A fault after which the other checks make no sense."""


class Checker(Generic[T]):
    """A plugin under test; every check is a method of a subclass.

    Args:
        registry: that it is in.
        name: as it is registered, with options if need be.
        limits: what a call may take.
    """

    def __init__(self, registry: Registry, name: str, limits: Limits) -> None:
        self.report, self.limits, self.registry = Report(name, registry.kind), limits, registry
        self.factory = registry.factory(name.split(":")[0])
        self._most = {"time": (Spent(), ""), "memory": (Spent(), "")}

    def checked(self) -> Report:
        """Run all checks that make sense."""
        with contextlib.suppress(Stop):
            self.run()
        return self.report

    def run(self) -> None:
        """Check after check."""
        raise NotImplementedError

    def check_options(self, *, required: bool = False) -> None:
        """Ask for documentation and defaults of the options; some may be ``required``."""
        types, defaults = option_types(self.factory), option_defaults(self.factory)
        documentation = read_documentation(self.factory)
        for option in types:
            if option not in defaults and not required:
                self.report.fault(
                    "options", f"option {option} has no default; a method runs without any"
                )
            elif not re.search(rf"\b{option}\b", documentation):
                self.report.fault(
                    "options", f"option {option} is documented nowhere; add it to Args:"
                )
        self.report.passes("options have defaults and are documented", "options")

    def create(self) -> T:
        """Build the plugin; a fault ends the checks."""
        made, plugin = self.attempt("setting up", lambda: self.registry.create(self.report.name))
        if not made:
            raise Stop
        result: T = plugin
        return result

    def attempt(self, check: str, call: Callable[[], Any], hint: str = "") -> tuple[bool, Any]:
        """Call it under observation.

        Args:
            check: what is tried.
            call: what to do.
            hint: added to what is said of an exception.

        Returns:
            Whether it came back, and with what.

        Raises:
            Stop: when it had to be ended.
            Declined: when it cannot run here.
        """
        patience = 2 * self.limits.seconds + 1  # a slow call is to be told from an endless one
        try:
            with self._watched(check), metered() as spent, ended_after(patience):
                answer = call()
        except Declined:
            raise
        except Stopped as stopped:
            self.report.fault(
                "time", f"{check}: no end after {patience:g} s", quote_line(stopped),
                write_trace(stopped),
            )  # fmt: skip
            raise Stop from None
        except Exception as error:
            cause = error.__cause__ if isinstance(error, BadInput) else None
            self.raised(check, cause or error, hint)
            return False, None
        self._weigh(check, spent)
        return True, answer

    def raised(self, check: str, error: BaseException, hint: str = "") -> None:
        """Note an exception, with what it probably means."""
        text = f"{type(error).__name__}: {as_text(error)}"
        if re.search(_TAKEN_FOR_ARRAY, text):
            hint = _NOT_AN_ARRAY
        line = quote_line(error)
        self.report.fault(check, f"{text}; {hint}" if hint else text, line, write_trace(error))

    def check_manners(self, calls: str) -> None:
        """Say what the calls were never seen to do, and what they took at most."""
        report, limits = self.report, self.limits
        report.passes("it leaves its input alone", "input")
        report.passes("it writes nothing, prints nothing and stays off the network", "side effects")
        (slowest, of_time), (largest, of_memory) = self._most["time"], self._most["memory"]
        report.passes(
            f"{calls} takes {slowest.seconds:.2g} s at most ({of_time}), {limits.seconds:g} s are"
            " allowed",
            "time",
        )
        used = f"{1024 * largest.gib:.0f} MiB" if largest.gib < 1 else f"{largest.gib:.1f} GiB"
        report.passes(
            f"{calls} takes {used} of memory at most ({of_memory or of_time}),"
            f" {limits.memory_gib:g} GiB are allowed",
            "memory",
        )

    def _weigh(self, check: str, spent: Spent) -> None:
        limits = self.limits
        if spent.seconds >= self._most["time"][0].seconds:
            self._most["time"] = spent, check
        if spent.gib >= self._most["memory"][0].gib:
            self._most["memory"] = spent, check
        if spent.seconds > limits.seconds:
            self.report.fault(
                "time",
                f"{check}: {spent.seconds:.1f} s, more than the {limits.seconds:g} s allowed",
            )
        if spent.gib > limits.memory_gib + _FEW_BYTES:
            self.report.fault(
                "memory",
                f"{check}: {spent.gib:.2g} GiB of memory, more than the {limits.memory_gib:g} GiB"
                " allowed",
            )

    @contextlib.contextmanager
    def _watched(self, check: str) -> Iterator[None]:
        """Notice what is written, printed and sent meanwhile."""
        before, printed = _listing(), io.StringIO()
        with watch_side_effects() as events, contextlib.redirect_stdout(printed):
            yield
        report = self.report
        for text in dict.fromkeys(events):
            report.fault("side effects", f"{check}: it {text}")
        for name in sorted(_listing() - before):
            report.fault("side effects", f"{check}: it leaves {name} in the working folder")
        if printed.getvalue().strip():
            first = printed.getvalue().strip().splitlines()[0]
            report.fault(
                "side effects", f"{check}: it prints {first!r}; use diagnostics or logging"
            )


def _listing() -> set[str]:
    return {path.name for path in Path.cwd().iterdir()}
