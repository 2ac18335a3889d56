"""On a machine with an NVIDIA GPU: the objective beside the usual expressions and Liger's kernels, and steps of a ResNet-18 on CIFAR-10 (JPEG).

Loss and gradient must read the student's and the teacher's logits and write the gradient: three passes over (B, C). *Share* is the time that those
would take at the speed of a plain copy on the same device, over the time that was measured. No step may wait for the host: torch's sync debug mode
raises an error where one does. ``--data`` is the folder of the parquet files; without it the steps are left out. Ends with 5 where there is no GPU.
"""

from __future__ import annotations

from functools import partial

import torch
from benchmarks._measuring import Run, compare, timed
from benchmarks._measuring.timing import Work, calls_for
from benchmarks.gpu.steps import measure_steps
from benchmarks.objective.losses import COMPILED, EAGER, OURS, TEXTBOOK, losses
from benchmarks.objective.measure import QUICK_SIZES, SIZES, accuracy, gradient_of, make_logits

NO_GPU = 5
PASSES = 3
COPIED = 1 << 28
"""Numbers of float32 in the copy, 1 GiB."""


def measure(run: Run) -> int:
    """The objective in both precisions, then the steps."""
    if not torch.cuda.is_available():
        run.note("there is no NVIDIA GPU that torch can use here; run this where there is one", loud=True)
        return NO_GPU
    bandwidth = copy_speed()
    run.add("copy", {"bytes per second": bandwidth}, shown=f"a copy moves {bandwidth / 1e9:,.0f} GB/s")
    for dtype in (torch.float32, torch.bfloat16):
        for batch, classes in QUICK_SIZES if run.quick else SIZES:
            measure_objective(run, batch, classes, dtype=dtype, bandwidth=bandwidth)
    measure_steps(run)
    return 0


def copy_speed() -> float:
    """Bytes that a copy reads and writes in a second."""
    source = torch.empty(COPIED, device="cuda")
    work = partial(torch.empty_like(source).copy_, source)
    seconds = timed(work, calls=calls_for(work, least=0.2, settle=torch.cuda.synchronize), settle=torch.cuda.synchronize)
    return 2 * source.nbytes / seconds.wall


def measure_objective(run: Run, batch: int, classes: int, *, dtype: torch.dtype, bandwidth: float) -> None:
    """Time, memory, share of the bandwidth and accuracy at one size, and that ours waits for nothing."""
    torch.compiler.reset()
    made = make_logits(batch, classes, device="cuda", dtype=dtype)
    works = {name: gradient_of(loss, made) for name, loss in losses(run, device="cuda").items()}
    part, size = f"{batch} × {classes}, {dtype}".replace("torch.", ""), made.student.nbytes
    found = compare(
        works, to=(TEXTBOOK, COMPILED), repeats=run.repeats, memory=True, unit=("(B, C)", size), device="cuda", settle=torch.cuda.synchronize
    )
    run.add(part, found)
    shares = {name: round(PASSES * size / bandwidth / found.middle(name).wall, 3) for name in works}
    run.add(f"{part}, share of the bandwidth", shares)
    for name in (OURS, EAGER):
        without_waiting(works[name])
    if dtype == torch.float32:
        accuracy(run, part, made)


def without_waiting(work: Work) -> None:
    """Call it where any wait for the host is an error."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
