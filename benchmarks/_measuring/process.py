"""A function called in a fresh process, so that no memory, cache or import of an earlier measurement is there."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
"""The project."""
MARK = "result: "


def in_fresh_process(target: str, **arguments: Any) -> Any:
    """What ``target``, a ``module:function``, returns for plain ``arguments``, as plain data.

    Raises:
        RuntimeError: the process failed; its last lines are in the message.
    """
    command = [sys.executable, "-m", "benchmarks._measuring.process", target, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    last = done.stdout.rstrip().rpartition("\n")[2]
    if done.returncode or not last.startswith(MARK):
        raise RuntimeError(f"{target} failed in a process of its own:\n{done.stderr[-2000:]}")
    return json.loads(last.removeprefix(MARK))


def main(target: str, arguments: str) -> None:
    """What the process does."""
    module, _, function = target.partition(":")
    print(MARK + json.dumps(getattr(import_module(module), function)(**json.loads(arguments))))


if __name__ == "__main__":
    main(*sys.argv[1:])
