"""What a result was computed on: versions, machine, code."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from imedbench.runs.packages import package_version, packages_of

PACKAGES = (
    "imedbench",
    "kornia",
    "numpy",
    "opencv-contrib-python",
    "pandas",
    "scipy",
    "torch",
)


_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def thread_environment(threads: int) -> dict[str, str]:
    """Say what tells the numerical libraries their number of threads when they are imported."""
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Hold the numerical libraries to a number of threads.

    Those loaded already are told, those loaded inside find it in the environment.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    torch: Any = sys.modules.get("torch")
    before = cv2.getNumThreads(), torch.get_num_threads() if torch else 0
    environment = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(thread_environment(threads))
    cv2.setNumThreads(threads)
    if torch:
        torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        cv2.setNumThreads(before[0])
        if torch:
            torch.set_num_threads(before[1])
        for name, value in environment.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def synchroniser(device: str) -> Callable[[], object]:
    """Say what waits until a device has done all its work."""
    if not device.startswith("cuda"):
        return lambda: None
    import torch

    return torch.cuda.synchronize


def oom_kills() -> int:
    """Processes that the system has ended for their memory, where Linux counts them.

    Only a rise of this count tells such an end from a kill by somebody.
    """
    counts = 0
    for path in (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory.events")):
        with suppress(OSError):
            words = path.read_text().split()
            counts += int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0
    return counts


MAX_MEMORY_SHARE = 0.9
"""Of the machine's memory: a process that takes more is ended before the system ends others."""


def memory_limit() -> float:
    """Most memory a worker may take, in bytes: nearly all of the machine's or the container's."""
    limits = [psutil.virtual_memory().total]
    with suppress(OSError, ValueError):  # no container of this kind, or one without a limit
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return MAX_MEMORY_SHARE * min(limits)


def memory_of(process: int) -> int:
    """Memory that a process and those it started hold, in bytes; 0 once it is gone."""
    try:
        first = psutil.Process(process)
        children = first.children(recursive=True)
    except psutil.Error:
        return 0
    if not children:
        return _held(first, shared=False)
    return sum(_held(one, shared=True) for one in (first, *children))


def _held(process: psutil.Process, *, shared: bool) -> int:
    """Memory of one process; of what it shares with copies of itself only its part, if asked."""
    with suppress(psutil.Error):
        if shared:
            whole = process.memory_full_info()
            return int(getattr(whole, "pss", 0) or whole.rss)
        return int(process.memory_info().rss)
    return 0


def provenance(
    device: str, threads: int, factories: Iterable[Callable[..., Any]] = ()
) -> dict[str, Any]:
    """Everything about the machine and the software that a number may depend on.

    Args:
        device: ``cpu`` or ``cuda``.
        threads: per worker.
        factories: the methods; the packages they come in and import are named as well.
    """
    imported = {name for factory in factories for name in packages_of(factory)}
    versions = {name: package_version(name) for name in (*PACKAGES, *sorted(imported))}
    return {
        "versions": {"python": platform.python_version(), **versions},
        "device": device,
        "device_name": device_name(device),
        "threads": threads,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "git": git_state(Path(__file__).parent),
    }


def device_name(device: str) -> str:
    """Return the processor's or the graphics card's own name."""
    if device.startswith("cuda"):
        import torch

        available = torch.cuda.is_available()
        return str(torch.cuda.get_device_name(device)) if available else "no CUDA device"
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown CPU"


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout a folder lies in, and whether it was changed since; None outside."""
    if not (folder.parent / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None  # no git on this machine, or a checkout without a commit: nothing to record


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return result.stdout.strip()
