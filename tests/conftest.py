"""What makes the tests cheap on cores that they share, and changes nothing that they look at."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# Before torch is imported. Its threads sleep while they wait, as in `dk` (`darkknowledge.cli.main`); by default they keep their cores busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session", autouse=True)
def short_timing() -> Iterator[None]:
    """An evaluation times a network for a moment instead of a second; how long it should, tests/analysis/test_cost.py says itself."""
    from darkknowledge.analysis.cost import measure_cost

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(measure_cost.__kwdefaults__, "seconds", 0.01)
        yield
