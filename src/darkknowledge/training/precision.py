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


WORTH_BFLOAT16 = 1 << 22
"""Weights times the examples of a piece of a batch, the multiply-adds of fully connected layers, from which bfloat16 pays on a processor. With fewer
the conversions cost more than the products save: a step of 64-30-10 at batch 64 (2¹⁷) took 1.57 of its time in float32, of 784-30-10 at batch 64
(2²⁰·⁵) 1.29 and at batch 256 (2²²·⁵) 0.96, of 64-400-400-10 at batch 64 (2²³·⁵) 0.74, of 784-800-800-10 at batch 256 (2²⁸) 0.34, of ResNet-8 and
ResNet-20 at batch 128 (2²³·² and 2²⁵) 0.54 and 0.64 (medians of interleaved steps in processor time, one thread of an AMD EPYC with AVX512-BF16,
torch 2.15; ``benchmarks/threads/choices.py``). Not measured on GPUs, where bf16 is taken wherever it is native."""


def resolve_precision(recipe: Recipe, device: str, *, weights: int) -> str:
    """``fp32`` or ``bf16`` for a network of so many ``weights``; ``auto`` means bf16 on hardware with bfloat16 matrix instructions, if it pays."""
    if recipe.precision != "auto":
        return recipe.precision
    small = device == "cpu" and weights * (recipe.batch_size // recipe.accumulate) < WORTH_BFLOAT16
    return "bf16" if has_bfloat16(device) and not small else "fp32"


def has_bfloat16(device: str) -> bool:
    """Whether ``device`` multiplies bfloat16 natively (CUDA from compute capability 8.0; x86 with AMX or AVX512-BF16)."""
    if device == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    capabilities = torch.backends.cpu.get_cpu_capability() if device == "cpu" else ""
    return "AVX512" in capabilities and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
