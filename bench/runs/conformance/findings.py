"""What a check of a plugin found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """What a call may take.

    Args:
        seconds: of time.
        memory_gib: beyond what the process holds before the call, GiB.
    """

    seconds: float = 60.0  # a run's own limit, unless told otherwise
    memory_gib: float = 4.0


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a plugin.

    Args:
        check: what was tried.
        text: what is wrong, in plain words.
        line: the author's own line it comes from, where there is one.
        trace: the whole traceback; empty where nothing was raised.
    """

    check: str
    text: str
    line: str = ""
    trace: str = ""


@dataclass
class Report:
    """What a plugin was found to do.

    Args:
        name: of the plugin.
        kind: ``method``, ``metric`` or ``data set``.
        passed: the checks it kept to.
        faults: what is wrong.
        remarks: what is worth knowing and no fault.
    """

    name: str
    kind: str
    passed: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def fault(self, check: str, text: str, line: str = "", trace: str = "") -> None:
        """Note a fault, once."""
        if all((fault.check, fault.text) != (check, text) for fault in self.faults):
            self.faults.append(Fault(check, text, line, trace))

    def grouped(self) -> dict[str, list[Fault]]:
        """Return the faults by what is wrong: one mistake may show in many checks."""
        groups: dict[str, list[Fault]] = {}
        for fault in self.faults:
            groups.setdefault(fault.text, []).append(fault)
        return groups

    def remark(self, text: str) -> None:
        """Note what is no fault, once."""
        self.remarks += [text] if text not in self.remarks else []

    def passes(self, text: str, *checks: str) -> None:
        """Note what it kept to, unless one of these checks found a fault."""
        if text not in self.passed and not any(fault.check in checks for fault in self.faults):
            self.passed.append(text)
