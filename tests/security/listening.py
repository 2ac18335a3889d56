"""What Python does while a file is opened, heard by ``sys.addaudithook``, which nothing can take away again."""

from __future__ import annotations

import ast
import collections
import contextlib
import dataclasses
import os
import sys
import sysconfig
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import darkknowledge

TRUSTED = (
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("purelib"),
    str(Path(darkknowledge.__file__).parents[1]),
    str(Path(__file__).parents[1]),
    "<frozen",
)
"""Where code lies that may be compiled and executed."""
MAKERS = (ast.__file__, collections.__file__, dataclasses.__file__, typing.__file__)
"""Who compiles trees, named tuples, methods and annotations, from the source of those who may be executed."""
FORBIDDEN = (
    *("pickle.find_class", "marshal.load", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"),
    *("pty.spawn", "ctypes.dlopen", "os.putenv", "sys.addaudithook", "urllib.Request", "http.client.connect", "webbrowser.open"),
    *("ftplib.connect", "smtplib.connect"),
)
"""Events that no file is reason for; nor is any of a socket, but to ask for this machine's name."""
PLANTED = ("ran", "IPython", "cupy")
"""Modules that lie in the folder of every file; libraries look for the latter two, where they are not installed."""
NVIDIA = "libnvidia-ml.so.1"
WRITING: dict[str, Sequence[tuple[int, int | None]]] = {
    "os.remove": [(0, 1)],
    "os.rename": [(0, 2), (1, 3)],
    "os.mkdir": [(0, 2)],
    "os.rmdir": [(0, 1)],
    "os.link": [(1, 3)],
    "os.symlink": [(1, 2)],
    "os.chmod": [(0, 2)],
    "os.chown": [(0, 3)],
    "os.utime": [(0, 3)],
    "os.truncate": [(0, None)],
    "os.setxattr": [(0, None)],
    "shutil.rmtree": [(0, 1)],
    "shutil.move": [(1, None)],
}
"""Events that change a file; where in what they tell its path stands, and the folder to which that is relative."""


class Listener:
    """Notes what happens while it is told to listen, but for files that are written in one folder."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.heard: list[str] = []
        sys.addaudithook(self)
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """A module is looked for, of which importlib tells no audit hook."""
        if self.folder is not None and name in PLANTED:
            self.heard.append(f"import {name}")

    @contextlib.contextmanager
    def listening(self, folder: Path) -> Iterator[list[str]]:
        """All that is heard, and was not asked for by writing in ``folder``."""
        self.heard, self.folder = [], folder
        try:
            yield self.heard
        finally:
            self.folder = None

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.folder is not None and self._matters(event, args):
            self.heard.append(f"{event} {str(args)[:200]}")

    def _matters(self, event: str, args: tuple[Any, ...]) -> bool:
        if event == "open":
            return self._writes(*args) and not self._inside(args[0])
        if event in WRITING:
            return not all(self._inside(args[path], None if folder is None else args[folder]) for path, folder in WRITING[event])
        if event in ("exec", "compile"):
            place = args[0].co_filename if event == "exec" else str(args[1])
            return sys._getframe(2).f_code.co_filename not in MAKERS and not place.startswith(TRUSTED)
        if event == "ctypes.dlopen" and args[0] in (None, NVIDIA):  # the program itself, and how torch asks for devices
            return False
        return event in FORBIDDEN or (event.startswith("socket.") and event != "socket.gethostname")

    @staticmethod
    def _writes(path: Any, mode: Any, flags: Any) -> bool:
        if isinstance(mode, str):
            return any(letter in mode for letter in "wax+")
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))

    def _inside(self, path: Any, folder: int | None = None) -> bool:
        if isinstance(path, int):  # which was heard when it was opened
            return True
        start = Path.cwd() if folder in (None, -1) else Path(f"/proc/self/fd/{folder}").readlink()
        return os.fsdecode(path) == os.devnull or Path(os.path.normpath(start / os.fsdecode(path))).is_relative_to(str(self.folder))
