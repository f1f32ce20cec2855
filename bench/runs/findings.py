"""What a check of a method found."""

from __future__ import annotations

from dataclasses import dataclass, field


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
    """What a method was found to do.

    Args:
        name: of the method.
        passed: the checks it kept to.
        faults: what is wrong.
        remarks: what is worth knowing and no fault.
    """

    name: str
    passed: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
