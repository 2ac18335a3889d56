"""Whole ``dk`` processes, to be used like the children that are forked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.faults.children import PATIENCE
from benchmarks.faults.world import World

DK = str(Path(sys.executable).with_name("dk"))


class Program:
    """A process of its own, to be used like a `Child`."""

    def __init__(self, words: list[str], screen: Path, *, temporary: Path | None) -> None:
        self.screen, self._began = screen, time.monotonic()
        environment = os.environ | ({"TMPDIR": str(temporary)} if temporary is not None else {})
        with screen.open("wb") as file:
            self.process = subprocess.Popen([DK, *words], stdout=file, stderr=file, env=environment)

    @property
    def code(self) -> int | None:
        """The exit code once it has ended, negative for a signal."""
        return self.process.poll()

    @property
    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self._began

    @property
    def message(self) -> str:
        """What it wrote on its screen."""
        return self.screen.read_text(encoding="utf-8", errors="replace").strip()

    def listen(self, seconds: float) -> None:
        """Wait so long, or until it ends."""
        until = self.seconds + seconds
        while self.code is None and self.seconds < until:
            time.sleep(min(0.002, max(0.0, until - self.seconds)))

    def kill(self) -> int:
        """Kill it now; the exit code, which is another where it had ended by itself."""
        self.process.kill()
        return self.process.wait()

    def end(self) -> int:
        """Its exit code, waited for."""
        return self.process.wait(timeout=PATIENCE)


def dk(world: World, *words: str) -> Program:
    """``dk`` with these words."""
    return Program(list(words), world.folder / "screen.txt", temporary=world.temporary)
