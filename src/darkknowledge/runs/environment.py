"""Where a run ran: versions, hardware, threads. Recorded, never compared."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("darkknowledge", "torch", "lightning-fabric", "numpy", "pyarrow", "timm", "torchvision", "scikit-learn"),
    *("hydra-core", "pydantic", "safetensors"),
)


def environment() -> dict[str, Any]:
    """Versions of Python and of the packages that matter, processor, cores, and the accelerator where torch is loaded and sees one."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["threads"] = torch.get_num_threads()
        facts["accelerator"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return facts


@cache  # the packages do not change while they run, and their metadata takes a moment to read
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
