"""What a result was computed on: versions, machine, code."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = (
    "imedbench",
    "kornia",
    "numpy",
    "opencv-contrib-python",
    "pandas",
    "scipy",
    "torch",
)


def provenance(device: str, threads: int) -> dict[str, Any]:
    """Everything about the machine and the software that a number may depend on.

    Args:
        device: ``cpu`` or ``cuda``.
        threads: per worker.
    """
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "device": device,
        "device_name": device_name(device),
        "threads": threads,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "git": git_state(Path(__file__).parent),
    }


def device_name(device: str) -> str:
    """The processor's or the graphics card's own name."""
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


def code_hash(factory: Callable[..., Any]) -> str:
    """Hash of the code of a plugin and, for a wrapper, of what it wraps."""
    inner = getattr(factory, "inner", None)
    own = source_hash(factory.__module__)
    return own if inner is None else f"{own}+{code_hash(inner)}"


@cache
def source_hash(module_name: str) -> str:
    """Hash of the code a plugin consists of: its own file, or its whole top-level package.

    For a plugin of imedbench that is the methods and the core, so that a change of how results are
    printed leaves stored predictions valid.

    Args:
        module_name: the plugin's module, imported already.

    Returns:
        Sixteen hexadecimal digits.
    """
    module = sys.modules[module_name]
    if module_name.startswith("imedbench."):
        import imedbench.core
        import imedbench.methods

        files = [*_sources(imedbench.core), *_sources(imedbench.methods)]
    else:
        top = sys.modules.get(module_name.partition(".")[0], module)
        files = _sources(top) or [Path(str(module.__file__))]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _sources(package: ModuleType) -> list[Path]:
    folders = getattr(package, "__path__", [])
    return sorted(file for folder in folders for file in Path(folder).rglob("*.py"))


def _versions() -> dict[str, str]:
    return {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return result.stdout.strip()
