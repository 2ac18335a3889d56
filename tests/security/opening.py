"""A program for the tests: it opens every hostile file while it listens to all that Python does, and prints what came of each as a line of JSON.

What a file could make it do is an event of ``sys.addaudithook``: code that is executed, a process, a connection, a pickle that looks for a function,
a file that is written or removed elsewhere than in the file's own folder.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import io
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import typing
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import darkknowledge
from darkknowledge.errors import DarkKnowledgeError
from security.hostile import Hostile, pickled
from security.table import HOSTILE, SOUND

TRUSTED = (
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("purelib"),
    str(Path(darkknowledge.__file__).parents[1]),
    str(Path(__file__).parents[1]),
    "<frozen",
)
"""Where code lies that this program may execute."""
FORBIDDEN = (
    *("pickle.find_class", "marshal.load", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn"),
    *("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request", "http.client.connect"),
    *("webbrowser.open", "ftplib.connect", "smtplib.connect"),
)
MAKERS = (collections.__file__, dataclasses.__file__, typing.__file__)
"""Who compiles named tuples, methods and annotations, from the source of those who may be executed."""
WRITING = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.chown",
    "os.truncate",
    "shutil.rmtree",
    "shutil.move",
)
SECONDS = 30


class Listener:
    """Notes what happens while it is told to listen, outside of one folder."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.heard: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.folder is not None and self._matters(event, args):
            self.heard.append(f"{event} {str(args)[:200]}")

    def _matters(self, event: str, args: tuple[Any, ...]) -> bool:
        if event == "open":
            path, mode, flags = args
            writes = (
                any(letter in mode for letter in "wax+") if isinstance(mode, str) else flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            )
            return bool(writes) and not self._inside(path)
        if event in WRITING:
            return not self._inside(args[0])
        if event in ("exec", "compile") and sys._getframe(2).f_code.co_filename in MAKERS:
            return False
        if event == "exec":
            return not args[0].co_filename.startswith(TRUSTED)
        if event == "compile":
            return not str(args[1]).startswith(TRUSTED)
        if event == "ctypes.dlopen":
            return args[0] is not None  # which is the program itself
        return event in FORBIDDEN or (event == "import" and args[0] in ("ran", "IPython", "cupy"))

    def _inside(self, path: Any) -> bool:
        if isinstance(path, int):
            return True
        return Path(os.fsdecode(path)).absolute().is_relative_to(self.folder) or path == os.devnull

    @contextlib.contextmanager
    def listening(self, folder: Path) -> Iterator[list[str]]:
        self.heard, self.folder = [], folder
        try:
            yield self.heard
        finally:
            self.folder = None


def judged(listener: Listener, hostile: Hostile, folder: Path) -> dict[str, Any]:
    """What became of one file: the error, what was heard, and what it cost."""
    forget_peak()
    before, began, error, said = resident("VmRSS"), time.process_time(), "", io.StringIO()
    signal.alarm(SECONDS)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), listener.listening(folder) as heard:
        try:
            code = hostile.open(folder)
            error = next(kind.__name__ for kind in kinds() if kind.exit_code == code) if isinstance(code, int) and code else ""
        except BaseException as caught:
            error = type(caught).__name__
            print(caught)
    signal.alarm(0)
    cost = {"seconds": time.process_time() - began, "megabytes": (resident("VmHWM") - before) / 1024}
    return {"name": hostile.name, "error": error, "said": said.getvalue()[-2000:], "heard": heard, "ran": (folder / "RAN").exists(), **cost}


def kinds() -> list[type[DarkKnowledgeError]]:
    return DarkKnowledgeError.__subclasses__()


def resident(name: str) -> float:
    """Kilobytes of memory, now (VmRSS) or at their most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name)))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def too_long(number: int, frame: object) -> None:
    raise TimeoutError(f"over {SECONDS} seconds")


def acts(folder: Path) -> dict[str, Callable[[], object]]:
    """Things that a file could do, done for once: the listener must hear each."""
    import pickle

    def connect() -> None:
        with contextlib.suppress(OSError), socket.socket() as end:
            end.connect(("127.0.0.1", 9))

    return {
        "pickle": lambda: pickle.loads(pickled(folder)),
        "system": lambda: os.system("true"),
        "process": lambda: subprocess.run(["true"], check=True),
        "connection": connect,
        "exec": lambda: exec("1"),
        "write": lambda: (folder.parent / "written").write_text(""),
        "remove": lambda: (folder.parent / "written").unlink(),
        "import": lambda: __import__("ran"),
    }


def main(root: Path) -> None:
    warnings.simplefilter("ignore")  # of Pillow and others about what is wrong with the files
    signal.signal(signal.SIGALRM, too_long)
    folders = {}
    for number, hostile in enumerate([*SOUND, *HOSTILE]):
        folder = root / f"{number:03d}"
        folder.mkdir()
        (folder / "ran.py").write_text(f"open({str(folder / 'RAN')!r}, 'w')")
        for name in ("IPython", "cupy"):
            (folder / f"{name}.py").write_text((folder / "ran.py").read_text())
        os.chdir(folder)
        hostile.build(folder)
        folders[hostile.name] = folder
    listener = Listener()
    for hostile in (*SOUND, *HOSTILE):
        os.chdir(folders[hostile.name])
        print(json.dumps(judged(listener, hostile, folders[hostile.name])))
    control = root / "control"
    control.mkdir()
    (control / "ran.py").write_text("")
    sys.path.append(str(control))
    for name, act in acts(control).items():
        with listener.listening(control) as heard:
            act()
        print(json.dumps({"name": f"act: {name}", "heard": heard}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
