from __future__ import annotations

import pytest
import torch

from darkknowledge.errors import ResourceError
from darkknowledge.training.precision import resolve_device, resolve_precision
from darkknowledge.training.recipe import Recipe


class Machine:
    """A machine with the given hardware, as torch would describe it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        self.has()

    def has(
        self, *, cuda: tuple[int, int] | None = None, mps: bool = False, vectors: str = "AVX2", amx: bool = False, avx512_bf16: bool = False
    ) -> None:
        self.patch.setattr(torch.cuda, "is_available", lambda: cuda is not None)
        self.patch.setattr(torch.cuda, "get_device_capability", lambda: cuda)
        self.patch.setattr(torch.backends.mps, "is_available", lambda: mps)
        self.patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: vectors)
        self.patch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
        self.patch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.mark.parametrize(
    ("hardware", "device", "precision"),
    [
        ({}, "cpu", "fp32"),
        ({"vectors": "AVX512"}, "cpu", "fp32"),
        ({"vectors": "AVX512", "amx": True}, "cpu", "bf16"),
        ({"vectors": "AVX512", "avx512_bf16": True}, "cpu", "bf16"),
        ({"vectors": "NO AVX", "amx": True}, "cpu", "fp32"),
        ({"cuda": (7, 5)}, "cuda", "fp32"),
        ({"cuda": (8, 0)}, "cuda", "bf16"),
        ({"cuda": (12, 0), "mps": True}, "cuda", "bf16"),
        ({"mps": True}, "mps", "fp32"),
    ],
)
def test_auto_takes_what_the_hardware_is_good_at(machine: Machine, hardware: dict[str, object], device: str, precision: str) -> None:
    machine.has(**hardware)  # type: ignore[arg-type]
    assert resolve_device("auto") == device
    assert resolve_precision(Recipe(), device, weights=10**6) == precision


def test_what_is_asked_for_is_obeyed(machine: Machine) -> None:
    machine.has(cuda=(9, 0))
    assert resolve_device("cpu") == "cpu"
    assert resolve_precision(Recipe(precision="bf16"), "cpu", weights=1) == "bf16"
    assert resolve_precision(Recipe(precision="fp32"), "cuda", weights=10**6) == "fp32"


def test_a_step_too_small_to_win_by_it_stays_in_float32_on_a_processor(machine: Machine) -> None:
    machine.has(vectors="AVX512", avx512_bf16=True, cuda=(9, 0))
    digits, hundred, large = (64 * 30 + 30 * 10, 784 * 100 + 100 * 10, 784 * 800 + 800 * 800 + 800 * 10)
    assert [resolve_precision(Recipe(batch_size=64), "cpu", weights=weights) for weights in (digits, hundred, large)] == ["fp32", "bf16", "bf16"]
    assert resolve_precision(Recipe(batch_size=64, accumulate=2), "cpu", weights=hundred) == "fp32"
    assert resolve_precision(Recipe(batch_size=64), "cuda", weights=digits) == "bf16"


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_said(machine: Machine, device: str) -> None:
    with pytest.raises(ResourceError, match=device):
        resolve_device(device)


def test_torch_still_answers_the_questions_that_the_choice_asks() -> None:
    """Two of them are private to torch."""
    assert isinstance(torch.cpu._is_amx_tile_supported(), bool)
    assert isinstance(torch.cpu._is_avx512_bf16_supported(), bool)
    assert resolve_precision(Recipe(), "cpu", weights=10**6) in ("fp32", "bf16")
