"""Freed memory is kept from step to step."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from darkknowledge.training.memory import CHOSEN_BY_USER

PROGRAM = """
import resource, sys
import numpy
from darkknowledge.training.memory import freed_memory_kept

def steps():
    for _ in range(5):
        activations = [numpy.ones(1 << 20) for _ in range(6)]
        del activations

def faults(work):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) >> 8

steps()
before = faults(steps)
with freed_memory_kept():
    steps()
    kept, held = faults(steps), resident()
print(before, kept, held, resident())
"""

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


def run(**environment: str) -> list[int]:
    plain = {name: value for name, value in os.environ.items() if name not in CHOSEN_BY_USER}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=plain | environment)
    return [int(word) for word in done.stdout.split()]


@on_glibc
def test_the_same_memory_is_used_again_and_given_back_at_the_end() -> None:
    before, kept, held, after = run()
    assert kept < before / 20
    assert after < held - 30  # of 48 MB


@on_glibc
def test_a_user_who_has_chosen_otherwise_is_obeyed() -> None:
    before, kept, *_ = run(MALLOC_TRIM_THRESHOLD_="131072")
    assert kept > before / 2
