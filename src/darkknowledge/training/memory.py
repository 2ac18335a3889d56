"""Freed memory is kept for the next step, instead of being given back to the system and fetched again page by page; too little is told in words."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from darkknowledge.errors import ResourceError

if TYPE_CHECKING:
    import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Their numbers in glibc's ``malloc.h``."""

LARGEST = 32 << 20
"""Bytes up to which glibc lets memory be kept at all; what is larger goes back at once."""

CHOSEN_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")
"""Variables with which a user chooses how memory is allocated, or by whom."""


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep what this process frees, and return what is free at the end. Where the C library is not glibc, nothing happens.

    A step on a processor frees its activations and allocates the same ones again. By glibc's defaults most of that goes through the system, which
    clears every page anew: up to a third of a step (``benchmarks/memory``). The two options stay as they are set here, because glibc can't restore
    its own; they hold for the whole process.
    """
    option, trim = _of_glibc("mallopt"), _of_glibc("malloc_trim")
    if option is None or trim is None or any(os.environ.get(name) for name in CHOSEN_BY_USER):
        yield
        return
    option(M_MMAP_THRESHOLD, LARGEST)
    option(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    try:
        library = ctypes.CDLL(None)
        return getattr(library, name) if hasattr(library, "gnu_get_libc_version") else None
    except (OSError, TypeError, AttributeError):  # how Windows and others say that there is no such library
        return None


@contextmanager
def shortage_told(device: torch.device | str, describe: Callable[[], tuple[str, str]]) -> Iterator[None]:
    """Tell what there was not enough memory for on ``device``: ``describe`` knows what was done and what may help.

    Raises:
        ResourceError: it was not enough.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        doing, fix = describe()
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ResourceError(
            f"the memory is not enough to {doing}", where=f"{device}, {_peak(str(device))} at most in use", why=reason, fix=fix
        ) from error


def out_of_memory(error: BaseException) -> bool:
    """Whether this is how Python, torch or a library under it says that memory is not enough."""
    said = str(error).lower()
    known = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or any(words in said for words in known)


def _peak(device: str) -> str:
    """The most memory that this process has had in use on a device so far."""
    import torch

    if device.startswith("cuda"):
        size = torch.cuda.max_memory_allocated(device)
    else:
        # In KiB, on macOS in bytes.
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"{size / 1e9:.2f} GB"
