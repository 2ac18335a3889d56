"""The run folder: made exclusively, locked while used, and honest about its state at any moment.

::

    runs/20261120-190640-distill-3fa2c81b/
        run.json          kind, status, times, command, fingerprints, results, and the SHA-256 of itself and of the next two
        config.yaml       the resolved configuration
        environment.json  versions, hardware, threads
        metrics.jsonl     every record of training, a line each; metrics.csv holds the epochs
        checkpoint/       two training states while the run is under way
        model/, best/     weights of the last and of the best epoch, each with its manifest
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any

from darkknowledge.errors import BusyError, DarkKnowledgeError, IntegrityError, ResourceError, UsageError, close_match
from darkknowledge.runs.checked_json import read_checked, vouched_for, write_checked
from darkknowledge.runs.environment import environment
from darkknowledge.runs.files import TEMPORARY, Written, storage_error, sweep, verify_files, write_json, write_text
from darkknowledge.runs.own_lock import held_by_anybody, not_inherited
from darkknowledge.runs.plain_yaml import as_yaml, read_yaml

RUNNING, FINISHED = "running", "finished"

_TEXTS = ("kind", "status", "started", "ended", "data_fingerprint", "split_fingerprint")
"""What is text in every record that has it."""

ATTEMPTS, PAUSE = 5, 0.05
"""Whoever looks at a run's status holds its lock for a moment, so one who wants it asks again for a fifth of a second."""


class RunFolder:
    """One run's folder. Make it with `create`, look at a finished or broken one with `open_run`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path | None, *, kind: str, config: dict[str, Any], again: bool = False) -> RunFolder:
        """Make the folder, or a new one with a unique name under ``runs/``, and write what is known before the work begins.

        With ``again`` it may be there if no run was `begun` in it.

        Raises:
            UsageError: the folder exists.
            ResourceError: it cannot be written.
            BusyError: another process is at the same, or works there.
        """
        if path is None:
            path = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}-{secrets.token_hex(4)}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(exist_ok=again)
        except OSError as error:
            if os.path.lexists(path):
                raise already_there(path) from None
            # A file may stand where one of the parents should be.
            raise storage_error(error, Path(error.filename)) from error
        run = cls(path)
        try:
            with lock(path):
                if begun(path):  # by another process, since somebody looked
                    raise already_there(path)
                run._begin(kind, config)
        except (BusyError, UsageError):
            raise
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return run

    def _begin(self, kind: str, config: dict[str, Any]) -> None:
        """Write ``run.json`` last: with it the folder is a run."""
        written = {
            "config.yaml": write_text(self.path / "config.yaml", as_yaml(config)),
            "environment.json": write_json(self.path / "environment.json", environment()),
        }
        facts = {"kind": kind, "status": "created", "started": _now(), "command": _command()}
        write_checked(self.path / "run.json", facts | {"files": {name: asdict(found) for name, found in written.items()}})

    @property
    def record(self) -> dict[str, Any]:
        """What ``run.json`` says."""
        record = read_checked(self.path / "run.json")
        if {"kind", "status", "started"} <= set(record) and all(isinstance(record.get(name, ""), str) for name in _TEXTS):
            return record
        raise self._no_record()

    @property
    def several(self) -> bool:
        """Whether the run is made of others, of one network each, as those of ``dk run`` and of several students are."""
        return self.record["kind"] in ("run", "students")

    @property
    def transfer_set(self) -> tuple[Path, str] | None:
        """Where the transfer set lay that the run learned from, and the SHA-256 of its manifest; ``None`` if there was none."""
        noted = self.record.get("transfer")
        try:
            return None if noted is None else (Path(noted["path"]), str(noted["sha256"]))
        except (KeyError, TypeError) as error:
            raise self._no_record() from error

    def _no_record(self) -> IntegrityError:
        return IntegrityError("run.json is not the record of a run", where=str(self.path / "run.json"), fix="do not use this folder")

    @property
    def config(self) -> dict[str, Any]:
        """The run's configuration, plain values only: ``config.yaml`` with what was changed since."""
        self.verify("config.yaml")
        config = read_yaml(self.path / "config.yaml")
        try:
            for change in self.record.get("changes", []):
                for name, (_, now) in change["settings"].items():
                    _set(config, name.split("."), now)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._no_record() from error
        return config

    def change(self, settings: Mapping[str, tuple[Any, Any]]) -> None:
        """Note settings that are others from now on: by dotted name what they were, and what they are."""
        self.note(changes=[*self.record.get("changes", []), {"at": _now(), "settings": settings}])

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.record["status"] == FINISHED)

    @property
    def status(self) -> str:
        """``created``, ``running``, ``finished``, ``preempted`` (by a signal), ``failed``; ``killed`` if it had no time to say so."""
        status = str(self.record["status"])
        if status != RUNNING or held_by_anybody(self.path / ".lock"):
            return status
        status = str(self.record["status"])  # it may have come to its end between the two looks
        return "killed" if status == RUNNING else status

    def note(self, **facts: Any) -> None:
        """Add facts to ``run.json``."""
        write_checked(self.path / "run.json", {**self.record, **facts})

    def vouch(self, *names: str) -> None:
        """Note size and SHA-256 of files of the run that change no more."""
        self.note(files={**self.record.get("files", {}), **{name: asdict(Written.of(self.path / name)) for name in names}})

    def verify(self, *names: str) -> None:
        """Check the files that ``run.json`` vouches for: all, or those of these names.

        Raises:
            IntegrityError: one is missing, or is not what was written; every such file is named.
        """
        files = vouched_for(self.path / "run.json")
        verify_files(self.path, {name: files[name] for name in names or files if name in files})

    def require_space(self, needed: int) -> None:
        """Refuse to begin what would fill the disk.

        Raises:
            ResourceError: fewer than ``needed`` bytes are free.
        """
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise ResourceError(
                f"not enough space for the run: {needed / 1e6:,.1f} MB needed, {free / 1e6:,.1f} MB free",
                where=str(self.path),
                fix="free some space or choose another folder with out=…",
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder's lock, and leave the status that the work deserves: finished, preempted or failed.

        Raises:
            BusyError: another process holds the lock.
        """
        with lock(self.path):
            self._sweep()
            self.note(status=RUNNING)
            try:
                yield
            except BaseException as error:
                if not self.path.exists():  # taken away, as there was nothing to keep
                    raise
                preempted = isinstance(error, KeyboardInterrupt) or getattr(error, "exit_code", 1) > 128
                try:
                    self.note(status="preempted" if preempted else "failed", ended=_now(), error=str(error) or type(error).__name__)
                except DarkKnowledgeError as unwritable:
                    error.add_note(str(unwritable))
                raise
            self.note(status=FINISHED, ended=_now())

    def _sweep(self) -> None:
        """Remove what killed writers have left; where there is another lock, such as in a transfer set, it is the business of whoever holds that."""
        for folder in (self.path, *(path for path in self.path.iterdir() if path.is_dir() and not path.is_symlink())):
            if folder == self.path or not (folder / ".lock").exists():
                sweep(folder)


def begun(path: Path) -> bool:
    """Whether there is something in a folder, other than what a process leaves that is killed before ``run.json`` makes it a run."""
    if not path.is_dir():
        return os.path.lexists(path)
    # Without the lock, which is made first, a config.yaml is somebody else's.
    ours = ("config.yaml", "environment.json", ".lock") if (path / ".lock").is_file() else ()
    return any(entry.name not in ours and not TEMPORARY.fullmatch(entry.name) for entry in path.iterdir())


def refuse_links(run: RunFolder) -> None:
    """Refuse to write into a folder whose parts lie elsewhere.

    Raises:
        IntegrityError: a file or folder of the run is a symbolic link.
    """
    for part in run.path.iterdir():
        if part.is_symlink():
            raise IntegrityError(
                f"{part.name} is a link out of the run folder",
                where=str(part),
                why="going on with the run would write to where it leads",
                fix="copy the run with its files",
            )


def open_run(path: str | Path, *, finished: bool = True) -> RunFolder:
    """The run folder at ``path``.

    Raises:
        UsageError: there is none, or with ``finished`` it did not come to its end.
        IntegrityError: its ``run.json`` cannot be read.
    """
    path = Path(path)
    if not (path / "run.json").is_file():
        siblings = [str(run.path) for run in list_runs(path.parent) or list_runs()]
        hint = close_match(str(path), siblings) if siblings else f"there are no runs in {path.absolute().parent}; dk train makes one"
        raise UsageError(f"{path} is no run folder", where=str(path / "run.json"), fix=hint)
    run = RunFolder(path)
    if finished and not run.finished:
        status = run.status
        raise UsageError(
            f"the run {path} is not finished (status: {status})",
            why="its weights are not those that the configuration asked for",
            fix="wait for it, or choose another run" if status == RUNNING else "continue it with resume=true, or choose another run",
        )
    return run


def list_runs(root: str | Path = "runs") -> list[RunFolder]:
    """The runs directly under ``root``, oldest first."""
    return sorted((RunFolder(path.parent) for path in Path(root).glob("*/run.json")), key=_age)


def _age(run: RunFolder) -> tuple[float, str]:
    """A key to sort by, whatever time zones the runs were begun in; a run whose record is damaged must not hide the others."""
    try:
        return datetime.fromisoformat(run.record["started"]).timestamp(), run.path.name
    except (IntegrityError, OverflowError, ValueError):
        return -math.inf, run.path.name


def already_there(path: Path) -> UsageError:
    """The message for a run folder that exists."""
    return UsageError(
        f"the run folder {path} exists",
        why="a run never writes into another run's folder",
        fix="choose another with out=…, or remove it; an unfinished run goes on with resume=true",
    )


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold ``path/.lock``, which the system frees when the process ends in whatever way.

    Raises:
        BusyError: another process holds it; the message names that process.
    """
    try:
        # A link would lead the lock's text into somebody's file.
        descriptor = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise storage_error(error, path / ".lock") from error
    # Without a buffer: one that cannot be written on a full disk would be tried again when the file is closed.
    with os.fdopen(descriptor, "r+b", buffering=0) as file, not_inherited(descriptor):
        if not _locked(file):
            holder = file.read().decode(errors="replace").strip() or "an unknown process"
            raise BusyError(f"{path} is in use by {holder}", where=str(path), fix="wait for it, or choose another folder with out=…")
        try:
            # Over the text of the one before, so that nobody who looks meanwhile finds none.
            file.truncate(file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}).encode()))
        except OSError as error:
            raise storage_error(error, path / ".lock") from error
        yield


def _locked(file: FileIO) -> bool:
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE)
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _set(config: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        config = config[part]
    config[path[-1]] = value


def _command() -> str:
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
