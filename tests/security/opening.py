"""Opening every hostile file of a kind in a child that was forked for it, and listens; what came of each is a line of JSON."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from darkknowledge.errors import DarkKnowledgeError
from security.hostile.file import PLACE, Hostile
from security.listening import PLANTED, Listener

SECONDS, PATIENCE = 30, 240
"""Until a file is given up, and until a child is, which does not listen to its alarm any more."""
MEMORY = 2 << 30
"""Bytes beyond which a child gets no more, so that what fills the memory does not fill that of others."""

Result = dict[str, Any]


def opened(root: Path, sound: Sequence[Hostile], hostile: Sequence[Hostile]) -> list[Result]:
    """What became of the files, which are built in folders under ``root``."""
    return in_child(root, lambda listener: (judged(listener, each, folder) for each, folder in built(root, [*sound, *hostile]).items()))


def in_child(root: Path, work: Callable[[Listener], Iterator[Result]]) -> list[Result]:
    """What ``work`` tells in a child with a listener, as far as it comes."""
    sys.stdout.flush()
    lines = root / "results.jsonl"
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _alone(root)
            with lines.open("w", buffering=1) as file:
                for result in work(Listener()):
                    file.write(json.dumps(result) + "\n")
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    until = time.monotonic() + PATIENCE
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return [json.loads(line) for line in lines.read_text().splitlines()]


def _alone(root: Path) -> None:
    """What of the process that forked it is no business of the child's."""
    sys.stdout = sys.stderr = (root / "screen").open("w")
    os.dup2(sys.stderr.fileno(), 2)
    torch.set_num_threads(1)  # a child that was forked can't use its parent's
    sys.path[:] = [place for place in sys.path if place]  # the current folder, where Python was started with -m
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")  # of Pillow and others about what is wrong with the files
    signal.signal(signal.SIGALRM, _too_long)
    size = int(_status("VmSize") * 1024) + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _too_long(number: int, frame: object) -> None:
    raise TimeoutError(f"over {SECONDS} seconds")


def built(root: Path, files: Sequence[Hostile]) -> dict[Hostile, Path]:
    """The folder of each file, in which modules are planted too."""
    folders = {}
    for number, each in enumerate(files):
        folder = folders[each] = root / f"{number:03d}"
        folder.mkdir()
        for name in PLANTED:
            (folder / f"{name}.py").write_text(f"open({str(folder / 'RAN')!r}, 'w')")
        os.chdir(folder)
        each.build(folder)
    return folders


def judged(listener: Listener, hostile: Hostile, folder: Path) -> Result:
    """What became of one file: the error and what it says, what was heard, what it changed, and what it cost."""
    os.chdir(folder)
    before, said, measured = around(folder), io.StringIO(), Cost()
    signal.alarm(SECONDS)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), listener.listening(folder / PLACE) as heard:
        error = _opened(hostile, folder)
    signal.alarm(0)
    changed = sorted({name for name, _, _ in around(folder) ^ before})
    return {"name": hostile.name, "error": error, "said": said.getvalue(), "heard": heard, "changed": changed, **measured.done()}


def _opened(hostile: Hostile, folder: Path) -> str:
    """The name of the error that a file gets, or whose exit code."""
    try:
        code = hostile.open(folder)
        return next(kind.__name__ for kind in DarkKnowledgeError.__subclasses__() if kind.exit_code == code) if isinstance(code, int) and code else ""
    except BaseException as caught:
        print(caught)
        return type(caught).__name__


def around(folder: Path) -> set[tuple[str, int, int]]:
    """What lies in the folder, with size and time, and beside it, but for the place in which may be written: native code is not heard."""
    found = {(path.name, 0, 0) for path in folder.parent.iterdir()}
    for place, folders, files in os.walk(folder):
        if Path(place) == folder:
            folders[:] = [name for name in folders if name != PLACE]
        for path in (Path(place, name) for name in (*folders, *files)):
            found.add((str(path.relative_to(folder)), path.lstat().st_size, path.lstat().st_mtime_ns))
    return found


class Cost:
    """Seconds of the processor, and megabytes at the peak above what there was before."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
        self._resident, self._began = _status("VmRSS"), time.process_time()

    def done(self) -> dict[str, float]:
        return {"seconds": time.process_time() - self._began, "megabytes": (_status("VmHWM") - self._resident) / 1024}


def _status(name: str) -> float:
    """Kilobytes of memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name)))
