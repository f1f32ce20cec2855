"""What is measured on: clocks and memory of the host or a CUDA device, threads and precision."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import psutil

from imedbench.core.errors import BadInput
from imedbench.core.stages import Clock, WallClock
from imedbench.latency.settings import Precision

MIB = 2.0**20


class Backend(Protocol):
    """What the harness needs of a device."""

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """What methods are prepared for."""

    @property
    def stage_clock(self) -> Clock[Any]:
        """Marks the stages inside a call; read only after `synchronise`."""

    def synchronise(self) -> None:
        """Wait until the device has nothing left to do."""

    def device_memory(self) -> float | None:
        """Memory now held on the device, MiB; None where there is no other than the host's."""

    def start_device_peak(self) -> None:
        """Begin to watch the device's memory."""

    def device_peak(self) -> float | None:
        """Most memory held since `start_device_peak`, MiB."""


class HostBackend:
    """The processor: everything has ended when the call returns."""

    device: Literal["cpu", "cuda"] = "cpu"

    def __init__(self) -> None:
        self.stage_clock: Clock[Any] = WallClock()

    def synchronise(self) -> None:
        """Nothing runs beside the call."""

    def device_memory(self) -> float | None:
        """There is no other memory than the host's."""
        return None

    def start_device_peak(self) -> None:
        """There is nothing to watch."""

    def device_peak(self) -> float | None:
        """There is no other memory than the host's."""
        return None


class EventClock:
    """Moments on the device's own stream of work.

    Args:
        cuda: ``torch.cuda``, or a stand-in with its ``Event``.
    """

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda

    def mark(self) -> Any:
        """Return an event recorded now; it costs the host some microseconds and stops nothing."""
        event = self._cuda.Event(enable_timing=True)
        event.record()
        return event

    def milliseconds(self, start: Any, end: Any) -> float:
        """Device time between two events that have both been reached."""
        return float(start.elapsed_time(end))


class CudaBackend:
    """A CUDA device: events round the stages, one wait at the end of a call.

    Args:
        cuda: ``torch.cuda`` by default; tests hand in a stand-in.

    Raises:
        BadInput: when there is no CUDA device.
    """

    device: Literal["cpu", "cuda"] = "cuda"

    def __init__(self, cuda: Any = None) -> None:
        if cuda is None:
            import torch

            cuda = torch.cuda
        if not cuda.is_available():
            raise BadInput("no CUDA device was found: measure with --device cpu")
        self._cuda = cuda
        self.stage_clock: Clock[Any] = EventClock(cuda)

    def synchronise(self) -> None:
        """Wait for all work on the device."""
        self._cuda.synchronize()

    def device_memory(self) -> float | None:
        """Memory held by tensors, MiB."""
        return float(self._cuda.memory_allocated()) / MIB

    def start_device_peak(self) -> None:
        """Forget the peak so far."""
        self._cuda.reset_peak_memory_stats()

    def device_peak(self) -> float | None:
        """Most memory held by tensors since then, MiB."""
        return float(self._cuda.max_memory_allocated()) / MIB


def backend_for(device: str) -> Backend:
    """Return the backend of a device.

    Raises:
        BadInput: when the device is unknown or missing.
    """
    if device == "cpu":
        return HostBackend()
    if device == "cuda":
        return CudaBackend()
    raise BadInput(f"latency is measured on cpu or cuda, not on {device!r}")


class HostMemory:
    """Resident memory of a process and those it started, and its peak.

    Linux keeps the peak of each process and can be told to forget it. The peaks are added up as if
    they came at one moment, so that the sum is never too small while no process ends.

    Args:
        first: id of the process; this one if left out.
        kernel: folder with the kernel's files about processes.
    """

    def __init__(self, first: int | None = None, kernel: Path = Path("/proc")) -> None:
        self._first, self._kernel = os.getpid() if first is None else first, kernel

    def now(self) -> float | None:
        """Resident memory, MiB; None where the system does not tell."""
        return self._sum("VmRSS")

    def start_peak(self) -> None:
        """Forget the peak so far, where that can be done."""
        for process in self._processes():
            with contextlib.suppress(OSError):  # it has ended meanwhile, or is not ours
                # See proc(5): resets the peak resident set size.
                (process / "clear_refs").write_text("5")

    def peak(self) -> float | None:
        """Most resident memory since `start_peak`, MiB; None where the system does not tell."""
        can_forget = (self._kernel / str(self._first) / "clear_refs").exists()
        return self._sum("VmHWM") if can_forget else None

    def _processes(self) -> list[Path]:
        ids = [self._first]
        with contextlib.suppress(psutil.Error):
            ids += [child.pid for child in psutil.Process(self._first).children(recursive=True)]
        folders = [self._kernel / str(process) for process in ids]
        return [folder for folder in folders if (folder / "status").is_file()]

    def _sum(self, name: str) -> float | None:
        found = [_status(process, name) for process in self._processes()]
        return sum(found) if found else None


def _status(process: Path, name: str) -> float:
    """A figure of a process's status in MiB; 0 when it has ended."""
    with contextlib.suppress(OSError):
        for line in (process / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return float(line.split()[1]) / 1024
    return 0.0


@contextlib.contextmanager
def autocast(precision: Precision, device: str) -> Iterator[None]:
    """Run torch's eligible operations in a lower precision; ``fp32`` changes nothing."""
    if precision == "fp32":
        yield
        return
    import torch

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    with torch.autocast(device, dtype=dtype):
        yield


def stated_threads() -> dict[str, int]:
    """Return the number of threads that each loaded library says it uses."""
    import cv2
    from threadpoolctl import threadpool_info

    stated = {str(pool["prefix"]): int(pool["num_threads"]) for pool in threadpool_info()}
    torch: Any = sys.modules.get("torch")
    return (
        stated
        | {"opencv": cv2.getNumThreads()}
        | ({"torch": int(torch.get_num_threads())} if torch else {})
    )


def machine_load() -> float | None:
    """Count the processes that waited for a core over the last minute; None where unknown."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
