"""What a result depends on besides its plan: packages, code revision, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    "momentune",
    "torch",
    "torchdiffeq",
    "ray",
    "optuna",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
)


def versions() -> dict[str, str]:
    """Python's version and those of the packages that a result depends on."""
    return {"python": platform.python_version(), **{p: metadata.version(p) for p in _PACKAGES}}


def hardware() -> dict[str, Any]:
    """Processor, cores, memory in gigabytes and NVIDIA GPUs of this machine."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages * size / 2**30, 1),
        "gpus": _said("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines(),
        "platform": platform.platform(),
    }


def revision(folder: Path) -> dict[str, Any] | None:
    """Git revision of the checkout that holds a folder, and whether it was changed since."""
    commit = _said("git", "-C", str(folder), "rev-parse", "HEAD")
    if not commit:
        return None
    changes = _said("git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no")
    return {"revision": commit, "dirty": bool(changes)}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
