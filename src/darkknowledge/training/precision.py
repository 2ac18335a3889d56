"""Which arithmetic: bfloat16 where the hardware multiplies it natively, else float32. Losses are float32 either way."""

from __future__ import annotations

import torch

from darkknowledge.errors import ResourceError
from darkknowledge.training.recipe import Recipe


def resolve_device(wanted: str, *, key: str = "training.device") -> str:
    """The device's type: the first of cuda, mps, cpu that is there, or the one asked for with ``key``.

    Raises:
        ResourceError: the device asked for is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, there in available.items() if there)
    if not available[wanted]:
        raise ResourceError(f"torch sees no {wanted} device here", fix=f"choose {key}=auto")
    return wanted


def resolve_precision(recipe: Recipe, device: str) -> str:
    """``fp32`` or ``bf16``; ``auto`` means bf16 on hardware with bfloat16 matrix instructions."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if has_bfloat16(device) else "fp32"


def has_bfloat16(device: str) -> bool:
    """Whether ``device`` multiplies bfloat16 natively (CUDA from compute capability 8.0; x86 with AMX or AVX512-BF16)."""
    if device == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    capabilities = torch.backends.cpu.get_cpu_capability() if device == "cpu" else ""
    return "AVX512" in capabilities and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
