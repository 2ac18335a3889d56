"""What files could do, done for once: readers that trust them read the very same ones, and each must be heard."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.torch import save_file

from security.hostile import archives, networks, records, runs, torch_files
from security.hostile.file import WAYS, Hostile, pickled
from security.listening import Listener
from security.opening import Cost, Result, around

Act = Callable[[Path], object]


@dataclass(frozen=True)
class Reader:
    """Reads a hostile file with what runs what is in it."""

    build: Act
    read: Act


def of(room: list[Hostile], name: str, read: Act) -> Reader:
    return Reader(next(hostile.build for hostile in room if hostile.name == name), read)


def unpickle(folder: Path, what: str) -> object:
    return pickle.loads(pickled(folder, what))


def load(path: Path) -> object:
    return torch.load(path, weights_only=False)


def imported(folder: Path) -> None:
    with contextlib.suppress(ImportError):
        importlib.import_module("ran")


def connect(folder: Path) -> None:
    with contextlib.suppress(OSError), socket.socket() as end:
        end.connect(("127.0.0.1", 9))


def fork(folder: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def replaced(folder: Path) -> None:
    with contextlib.suppress(OSError):
        os.execv(folder / "nothing", ["nothing"])


def unpack(folder: Path) -> None:
    with tarfile.open(folder / "cifar-10-binary.tar.gz") as tar:
        tar.extractall(folder, filter="fully_trusted")


def state(folder: Path) -> object:
    return load(next((folder / runs.RUN / "checkpoint").iterdir()))


READERS: dict[str, Reader] = {
    **{f"a pickle that calls {what}": Reader(bool, partial(unpickle, what=what)) for what in WAYS},
    **{f"a checkpoint that calls {what}": of(torch_files.HOSTILE, f"checkpoint that calls {what}", lambda f: load(f / "w.pt")) for what in WAYS},
    "a checkpoint in the old format": of(torch_files.HOSTILE, "checkpoint in the old format", lambda f: load(f / "w.pth")),
    "NumPy's objects": of(torch_files.HOSTILE, "checkpoint of NumPy's objects", lambda f: np.load(f / "w.npy", allow_pickle=True)),
    "an IDX file of objects": of(
        archives.HOSTILE, "IDX file that is an array of objects", lambda f: np.load(f / archives.PICTURES, allow_pickle=True)
    ),
    "weights of a network": of(
        networks.HOSTILE, "network whose weights are a pickle", lambda f: pickle.loads((f / "model" / "model.safetensors").read_bytes())
    ),
    "a training state": of(records.HOSTILE, "state with code", state),
    "YAML that makes objects": of(runs.HOSTILE, "run that makes objects", lambda f: yaml.unsafe_load((f / runs.RUN / "config.yaml").read_text())),
    "YAML that imports": of(runs.HOSTILE, "run that imports a module", lambda f: yaml.unsafe_load((f / runs.RUN / "config.yaml").read_text())),
    "an archive that climbs out": of(archives.HOSTILE, "archive that climbs out", unpack),
    "an archive with an absolute path": of(archives.HOSTILE, "archive with an absolute path", unpack),
    "an archive of pickles": of(
        archives.HOSTILE, "archive of pickles, unpacked", lambda f: pickle.load((f / "cifar-10-batches-py" / "data_batch_1").open("rb"))
    ),
}
"""By what they read: the functions that are not used, on files of the corpus."""

ACTS: dict[str, Act] = {
    "os.system": lambda f: os.system("true"),
    "a process": lambda f: subprocess.run(["true"], check=True),
    "posix_spawn": lambda f: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
    "fork": fork,
    "another program": replaced,
    "exec": lambda f: exec("1"),
    "compile": lambda f: compile("1", "stranger.py", "exec"),
    "a connection": connect,
    "a look-up": lambda f: socket.getaddrinfo("localhost", 9),
    "a library": lambda f: ctypes.CDLL("libc.so.6"),
    "an import": imported,
    "a new file": lambda f: (f / "written").write_text(""),
    "a file that is changed": lambda f: (f / "written").open("r+").close(),
    "a file that goes": lambda f: (f / "written").unlink(),
    "a folder": lambda f: (f / "made").mkdir(),
    "a folder that goes": lambda f: shutil.rmtree(f / "made"),
    "a link": lambda f: (f / "link").symlink_to("/etc/passwd"),
    "a file that moves": lambda f: (f / "link").rename(f / "moved"),
}
"""Everything else that is listened for."""


def done(listener: Listener, folder: Path) -> Iterator[Result]:
    """What is heard of each, and whether a reader ran what it read."""
    for number, (name, reader) in enumerate(READERS.items()):
        place = folder / f"{number:03d}"
        place.mkdir()
        (place / "ran.py").write_text(f"open({str(place / 'RAN')!r}, 'w')")
        os.chdir(place)
        reader.build(place)
        sys.modules.pop("ran", None)
        sys.path.append(str(place))
        with listener.listening(folder / "nowhere") as heard, contextlib.suppress(Exception):  # what comes after it is no matter
            reader.read(place)
        sys.path.remove(str(place))
        ran = [path for path in (place / "RAN", folder / "RAN") if path.exists()]
        for path in ran:
            path.unlink()
        yield {"name": name, "heard": heard, "ran": bool(ran)}
    for name, act in ACTS.items():
        with listener.listening(folder / "nowhere") as heard:
            act(folder)
        yield {"name": name, "heard": heard}


def unheard(listener: Listener, folder: Path) -> Iterator[Result]:
    """What is seen of a file that native code writes, and of memory that is taken."""
    place = folder / "unheard"
    place.mkdir()
    before = around(place)
    with listener.listening(folder / "nowhere") as heard:
        save_file({"x": torch.ones(1)}, place / "native.safetensors")
    yield {"name": "native code", "heard": heard, "changed": sorted({name for name, _, _ in around(place) ^ before})}
    cost = Cost()
    torch.ones(50 << 20).sum()
    yield {"name": "memory", **cost.done()}
