"""Notes on the graphics card, read through NVML and never changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CardNotes:
    """A graphics card at one moment; None where it does not tell.

    Args:
        name: the card's own name.
        driver: version of the driver.
        core_mhz: clock of the processors.
        memory_mhz: clock of the memory.
        celsius: temperature.
        watts: power drawn.
        watts_limit: power at which it slows down.
        other_processes: computing processes beside this one.
    """

    name: str
    driver: str
    core_mhz: int | None
    memory_mhz: int | None
    celsius: int | None
    watts: float | None
    watts_limit: float | None
    other_processes: int | None


def card_notes(process_id: int, nvml: Any = None) -> CardNotes | None:
    """Notes on the first card that this process may use.

    Args:
        process_id: this process, which is not counted among the others.
        nvml: the module ``pynvml`` by default; tests hand in a stand-in.

    Returns:
        None where pynvml or the driver is missing: install ``imedbench[gpu]`` to have notes.
    """
    if nvml is None:
        try:
            import pynvml
        except ImportError:
            return None
        nvml = pynvml
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        return _read(nvml, _first_visible(nvml), process_id)
    finally:
        nvml.nvmlShutdown()


def _first_visible(nvml: Any) -> Any:
    """CUDA may be shown fewer cards than NVML sees, by number or by name."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first.isdigit() or not first:
        return nvml.nvmlDeviceGetHandleByIndex(int(first or 0))
    return nvml.nvmlDeviceGetHandleByUUID(first)


def _read(nvml: Any, card: Any, process_id: int) -> CardNotes:
    def ask(question: str, *details: Any) -> Any:
        try:
            return getattr(nvml, question)(card, *details)
        except nvml.NVMLError:  # many cards answer only some questions
            return None

    processes = ask("nvmlDeviceGetComputeRunningProcesses")
    others = None if processes is None else sum(p.pid != process_id for p in processes)
    power, limit = ask("nvmlDeviceGetPowerUsage"), ask("nvmlDeviceGetEnforcedPowerLimit")
    return CardNotes(
        name=_text(nvml.nvmlDeviceGetName(card)),
        driver=_text(nvml.nvmlSystemGetDriverVersion()),
        core_mhz=ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
        memory_mhz=ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
        celsius=ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
        watts=None if power is None else power / 1e3,
        watts_limit=None if limit is None else limit / 1e3,
        other_processes=others,
    )


def _text(answer: str | bytes) -> str:
    """Old versions of the module answer in bytes."""
    return answer.decode() if isinstance(answer, bytes) else answer
