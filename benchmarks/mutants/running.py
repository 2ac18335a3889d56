"""A pytest plugin: everything is imported and collected once, then a child is forked for each mutant, which runs that mutant's tests until one fails.

``MUTANTS`` names the folder to work in, ``MUTANTS_DO`` what to do: ``watch`` runs every test once and notes which mutated functions it calls and how
long it takes, ``try`` runs the mutants of ``draw.json``, each with the quickest of its tests first, for ``MUTANTS_SECONDS`` of processor time.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, Phase, settings
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.format_utils import mangled_name_from_mutant_name

WORK = Path(os.environ["MUTANTS"])
FAILED, BROKEN = 1, 3
"""Exit codes of a child: a test failed; the plugin itself did."""
# The same examples for every mutant, none of them kept, and no time lost on making a failing one small.
settings.register_profile(
    "mutants", derandomize=True, database=None, deadline=None, phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck)
)
settings.load_profile("mutants")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: Any) -> bool:
    """Do it in place of pytest's own loop."""
    gc.collect()
    gc.freeze()  # what the children share stays shared
    if os.environ["MUTANTS_DO"] == "watch":
        ended = forked(lambda: watch(session), processor=1500, wall=3600)
        if ended != 0:
            raise RuntimeError(f"the tests of the unmutated code could not be watched: {ended}")
    else:
        try_all(session)
    return True


def watch(session: Any) -> None:
    """Note for every test which mutated functions it calls, how long it takes, and whether it passes without a mutation."""
    own_folder(session, "watch")
    set_mutant_under_test("stats")
    calls: dict[str, list[str]] = {}
    seconds: dict[str, float] = {}
    unsound = []
    for item, following in following_each(session.items):
        state()._stats.clear()
        began = processor()
        reports = runtestprotocol(item, nextitem=following, log=False)
        seconds[item.nodeid] = processor() - began
        if any(report.failed for report in reports):
            unsound.append(item.nodeid)
        elif not any(report.skipped for report in reports):
            for name in state()._stats:
                calls.setdefault(name, []).append(item.nodeid)
    (WORK / "watched.json").write_text(json.dumps({"calls": calls, "seconds": seconds, "unsound": unsound}))


def try_all(session: Any) -> None:
    """One line of ``tried.jsonl`` a mutant; those that have one are passed over."""
    watched, out = json.loads((WORK / "watched.json").read_text()), WORK / "tried.jsonl"
    items, seconds, limit = {item.nodeid: item for item in session.items}, watched["seconds"], float(os.environ["MUTANTS_SECONDS"])
    done = {json.loads(line)["mutant"] for line in out.read_text().splitlines()} if out.exists() else set()
    for mutant in json.loads((WORK / "draw.json").read_text()):
        if mutant in done:
            continue
        tests = sorted(watched["calls"].get(mangled_name_from_mutant_name(mutant), ()), key=seconds.__getitem__)
        chosen, spent = within(tests, seconds, limit)
        ended = tried(session, mutant, [items[test] for test in chosen], spent)
        line = {"mutant": mutant, "outcome": outcome(ended), "tests": len(chosen), "of": len(tests), "by": (WORK / "failed").read_text()}
        with out.open("a") as file:
            file.write(json.dumps(line) + "\n")


def tried(session: Any, mutant: str, items: Sequence[Any], seconds: float) -> int:
    """The exit code of a child that runs these tests, which take so long without the mutant."""
    (WORK / "failed").write_text("")
    return forked(lambda: judge(session, mutant, items), processor=20 + 5 * seconds, wall=120 + 30 * seconds) if items else 0


def within(tests: Sequence[str], seconds: dict[str, float], limit: float) -> tuple[list[str], float]:
    """The first tests that fit into the limit, at least one, and what they take."""
    chosen, spent = [], 0.0
    for test in tests:
        if chosen and spent + seconds[test] > limit:
            break
        chosen.append(test)
        spent += seconds[test]
    return chosen, spent


def judge(session: Any, mutant: str, items: Sequence[Any]) -> None:
    """In the child: run the tests with this mutant in place, and end at the first that fails."""
    own_folder(session, "mutant")
    set_mutant_under_test(mutant)
    for item, following in following_each(items):
        if any(report.failed for report in runtestprotocol(item, nextitem=following, log=False)):
            (WORK / "failed").write_text(item.nodeid)
            os._exit(FAILED)


def outcome(ended: int) -> str:
    """In words; one that hangs or uses up its time is killed, as a test that takes for ever is noticed too."""
    if ended == BROKEN:
        raise RuntimeError(f"a mutant could not be tried: {(WORK / 'failed').read_text()}")
    return {0: "survived", FAILED: "killed"}.get(
        ended, "killed: it did not end" if ended in (-signal.SIGXCPU, -signal.SIGKILL) else "killed: it crashed"
    )


def forked(work: Callable[[], None], *, processor: float, wall: float) -> int:
    """The exit code of a child that does the work, its signal as a negative number; it and its children are ended at the limits, in seconds."""
    child = os.fork()
    if child == 0:
        in_child(work, processor)
    until, ended = time.monotonic() + wall, 0
    while not ended and time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status if ended else os.waitpid(child, 0)[1])


def in_child(work: Callable[[], None], limit: float) -> None:
    """Do the work without a word, within seconds of processor time."""
    try:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        at = int(processor() + limit) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (at, at + 2))
        work()
        os._exit(0)
    except BaseException as error:
        (WORK / "failed").write_text(repr(error))
        os._exit(BROKEN)


def following_each(items: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Each item with the next one, which pytest asks for."""
    return list(zip(items, [*items[1:], None], strict=True)) if items else []


def processor() -> float:
    """Seconds that this process and its ended children have used."""
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def own_folder(session: Any, name: str) -> None:
    """Temporary folders of the tests lie under this one, made anew."""
    folder = WORK / "temporary" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    factory = session.config._tmp_path_factory
    factory._given_basetemp, factory._basetemp = folder, None
