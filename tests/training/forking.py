"""A program for the tests: it imports everything once and forks a child for each job, so that real signals reach real processes at a small price.

A job is a line of JSON: the arguments of ``dk`` and the file for the child's error stream. The answers are the child's process id and, at its end,
its exit status as `os.waitstatus_to_exitcode` puts it.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path

import torch

import darkknowledge.data.digits
import darkknowledge.pipeline.train
import darkknowledge.training.wandb_logger  # noqa: F401
from darkknowledge.cli.main import main
from darkknowledge.training import Recipe, fit
from training.small import CrossEntropy, Notes, mlp, points


def stuck(folder: Path) -> int:
    """A training whose third step takes a minute; each step leaves a state behind."""

    def after_step(done: int) -> None:
        if done == 3:
            (folder / "stuck").touch()
            time.sleep(60)

    recipe = Recipe(epochs=2, batch_size=4, checkpoint_every=0, device="cpu", precision="fp32")
    fit(mlp(), CrossEntropy(), points(20), recipe, watchers=[Notes(after_step)], checkpoint=folder / "checkpoint")
    return 0


def child(arguments: list[str], errors: str) -> int:
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.dup2(2, 1)
    torch.set_num_threads(1)
    return stuck(Path(arguments[1])) if arguments[0] == "stuck" else main(arguments)


if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        process = os.fork()
        if process == 0:
            code = 1
            try:
                code = child(job["arguments"], job["errors"])
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
