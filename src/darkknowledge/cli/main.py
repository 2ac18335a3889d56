"""The program ``dk`` (also ``darkknowledge``): flags, stages, exit codes."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from darkknowledge import __version__
from darkknowledge.cli.help import HELP, STAGES
from darkknowledge.errors import DarkKnowledgeError, ResourceError, UsageError, close_match
from darkknowledge.runs.surroundings import refuse_unrestricted_loading


@dataclass(frozen=True, slots=True)
class Call:
    """What the command line asks for."""

    stage: str
    overrides: tuple[str, ...] = ()
    help: bool = False
    version: bool = False
    show_config: bool = False
    dry_run: bool = False
    multirun: bool = False
    debug: bool = False


FLAGS = {
    "--help": "help",
    "-h": "help",
    "--version": "version",
    "--dry-run": "dry_run",
    "-m": "multirun",
    "--multirun": "multirun",
    "--debug": "debug",
}

OWN = re.compile(r"plugins=|(?<!\w)(?!timm:|torchvision:)[^\W\d][\w.]*\\?:[^\W\d]")
"""A word that names code of the user's own: ``package.module:Class``, or modules that may be imported."""
PLACES = re.compile(r"[+~]*(\w+\.)*(out|root|run|runs|path|input|transfer|checkpoint|project|push_to|base_model)=")
"""What is set here is the name of a place, which may hold a colon, and never that of code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code (see `darkknowledge.errors`)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _run(parse(arguments)), debug="--debug" in arguments)


def guarded(work: Callable[[], int], *, debug: bool = False) -> int:
    """Do ``work``; a known error becomes its message on the error stream and its exit code, unless ``debug`` asks for the traceback."""
    _let_threads_sleep()
    _print_in_any_encoding()
    try:
        refuse_unrestricted_loading()
        with _stopped_in_words():
            code = work()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read the output, such as head, has read enough; at its end Python would try to write the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (DarkKnowledgeError, MemoryError, OSError, RuntimeError) as error:
        if debug or (isinstance(error, OSError) and error.filename is None) or (isinstance(error, RuntimeError) and not _known(error)):
            raise
        from darkknowledge.transfer import printable

        known = _as_known(error)
        # What a message quotes from a file commands no terminal.
        print("\n".join(map(printable, f"error: {known}".split("\n"))), file=sys.stderr)
        return known.exit_code


def _let_threads_sleep() -> None:
    """Torch's threads sleep while they wait for each other, unless the environment says how they wait; only in time before torch is imported.

    By default they keep their cores busy, and where somebody else wants these a step takes many times as long (``benchmarks/threads``).
    """
    if not any(name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def _print_in_any_encoding() -> None:
    """What the output's encoding lacks is printed as an escape, as on the error stream: no run fails at its last line for a folder's name."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def _stopped_in_words() -> Iterator[None]:
    """SIGINT and SIGTERM end the process with a word and its exit code; stages that write or save listen to them themselves while they work.

    They do not raise, because libraries that are being imported catch exceptions of all kinds.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        os.write(2, f"error: stopped by signal {number}\n".encode())
        os._exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _known(error: RuntimeError) -> bool:
    from darkknowledge.training.memory import out_of_memory

    return out_of_memory(error) or LOST_WORKER in str(error)


LOST_WORKER = "DataLoader worker"
"""How torch begins to tell, at any point of the main process, that a process that decodes pictures is gone."""


def _as_known(error: BaseException) -> DarkKnowledgeError:
    """What the system raises, in our words."""
    match error:
        case DarkKnowledgeError():
            return error
        case OSError():
            return ResourceError(f"{error.strerror or error}", where=str(error.filename), fix="check the path, its permissions and the space left")
        case RuntimeError() if LOST_WORKER in str(error):
            why = str(error).partition("\n")[0]
            return ResourceError("a process that decodes pictures is gone", why=why, fix="lower data.workers if the memory was not enough for all")
        case _:
            return ResourceError("the memory is not enough", fix="lower training.batch_size, or raise training.accumulate")


def parse(arguments: Sequence[str]) -> Call:
    """The call that the arguments spell.

    Raises:
        UsageError: an unknown flag or stage, or a word that is no ``key=value``.
    """
    found: dict[str, bool] = {}
    words = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument in ("--cfg", "-c"):
            _expect_job(next(waiting, None))
            found["show_config"] = True
        elif argument in FLAGS:
            found[FLAGS[argument]] = True
        elif argument.startswith("-"):
            raise UsageError(f"unknown flag {argument}", fix=close_match(argument, [*FLAGS, "--cfg"]))
        else:
            words.append(argument)
    stage = words.pop(0) if words and "=" not in words[0] else ""
    words = _named(stage, words)
    if not found.get("version") and (stage or not found.get("help")):
        _expect_stage(stage, words)
    return Call(stage, tuple(words), **found)


def _named(stage: str, words: Sequence[str]) -> list[str]:
    """The words as ``key=value``: some stages take their first values without the keys, as in ``dk verify PATH``."""
    keys = list(STAGES[stage].words) if stage in STAGES else []
    named = []
    for word in words:
        if keys and word.partition("=")[0] not in STAGES[stage].words:
            word = f"{keys.pop(0)}='{_quoted(word)}'"
        named.append(word)
    return named


def _quoted(word: str) -> str:
    """The word for Hydra's single quotes: backslashes count before a quote alone, and before ``${``, which would begin an interpolation."""
    return re.sub(r"(\\*)('|\$\{|$)", lambda found: found[1] * 2 + ("\\" if found[2] else "") + found[2], word)


def _expect_job(word: str | None) -> None:
    if word != "job":
        raise UsageError(f"--cfg is followed by the word job, not by {word or 'nothing'}", fix="write --cfg job")


def _expect_current_folder() -> None:
    """Hydra wants to know it, and so does whoever names a path that begins in it."""
    try:
        Path.cwd()
    except OSError as error:
        raise ResourceError("the current folder does not exist any more", fix="change into one that is there: cd …") from error


def _expect_stage(stage: str, words: Sequence[str]) -> None:
    if not stage:
        raise UsageError("no stage is named", fix=f"write dk STAGE key=value …, with STAGE one of {', '.join(STAGES)}; dk --help explains")
    if stage not in STAGES:
        raise UsageError(f"there is no stage {stage!r}", fix=close_match(stage, STAGES))
    for word in words:
        if "=" not in word and not word.startswith("~"):
            raise UsageError(f"{word!r} is no key=value", fix=f"for example: dk {STAGES[stage].example}")


def _run(call: Call) -> int:
    if call.version:
        print(f"darkknowledge {__version__}")
        return 0
    if call.help:
        print(STAGES[call.stage].help() if call.stage else HELP)
        return 0
    _expect_current_folder()
    if any(OWN.search(word) and not PLACES.match(word) for word in call.overrides):
        # It often lies in the current folder; at the end of the path it hides nothing. Otherwise nothing is imported from a folder for being in it:
        # libraries look for many that are not installed, and whoever sent the folder may have put one there.
        sys.path.append(str(Path.cwd()))
    # Hydra, and behind the stages torch, are imported only when there is work.
    from darkknowledge.cli.stages import run_jobs

    return run_jobs(call.stage, call.overrides, show_config=call.show_config, dry_run=call.dry_run, multirun=call.multirun)


if __name__ == "__main__":
    sys.exit(main())
