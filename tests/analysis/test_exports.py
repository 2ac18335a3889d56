"""The doors of the two rooms: names are found when first asked for, not before."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize("room", ["analysis", "teacher"])
def test_importing_the_room_imports_nothing_slow(room: str) -> None:
    program = f"import sys, darkknowledge.{room}; assert not {{'torch', 'numpy'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("room", ["analysis", "teacher"])
def test_every_public_name_is_found_and_no_other(room: str) -> None:
    module = importlib.import_module(f"darkknowledge.{room}")
    assert sorted(module.__all__) == sorted(set(module.__all__))
    for name in module.__all__:
        assert getattr(module, name).__doc__
    with pytest.raises(AttributeError, match=f"'darkknowledge.{room}' has no attribute 'Tensor'"):
        _ = module.Tensor
