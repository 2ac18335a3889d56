"""Jobs over processes of one thread each: what is kept is skipped, what was stopped goes on, and each failure is told."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.hinton2015.jobs import Job, Place
from benchmarks.hinton2015.processes import Processes
from benchmarks.hinton2015.screen import Screen
from darkknowledge.errors import Interrupted
from darkknowledge.runs.folder import lock
from darkknowledge.training.signals import StopRequest, stop_request

POLL = 0.5
"""Seconds between two looks at the processes, the clock and the signals."""


def needed(jobs: Mapping[str, Job], place: Place) -> dict[str, Job]:
    """The jobs to do: those whose records are missing, and those whose folders they read and that are not there."""
    todo: dict[str, Job] = {}

    def want(job: Job, folder: bool) -> None:
        if job.name in todo or (not folder and job.kept(place)):
            return
        if job.left(place) and folder:  # asked in any case: what another recipe left is refused before anything is run
            return
        for need in job.needs:
            want(need, True)
        todo[job.name] = job

    for job in jobs.values():
        if job.kind != "record":  # asked for by those that learn from it
            want(job, False)
    return todo


def run_all(todo: Mapping[str, Job], place: Place, *, processes: int) -> dict[str, str]:
    """Do the jobs; name to error of those that failed. Those that need them are left out, the others go on.

    Raises:
        BusyError: another runner works in the same folder.
        Interrupted: SIGINT or SIGTERM came; the states of the jobs under way are saved. A second signal ends everything at once.
    """
    place.work.mkdir(parents=True, exist_ok=True)
    with lock(place.work), stop_request() as stop:
        with Processes(place, min(processes, len(todo))) as pool, Screen(todo.values(), place, processes=processes) as screen:
            failed = _until_done(dict(todo), pool, screen, stop)
            if stop.signal is not None:
                screen.say(f"stopping, saving {' and '.join(pool.busy) or 'nothing'}")
        if stop.signal is not None:
            raise Interrupted("stopped; what was under way is saved", signal=stop.signal, fix="the same command goes on")
    return failed


def _until_done(waiting: dict[str, Job], pool: Processes, screen: Screen, stop: StopRequest) -> dict[str, str]:
    failed: dict[str, str] = {}
    tried_again: set[str] = set()
    while stop.signal is None and (waiting or pool.busy):
        for job in list(waiting.values()):
            missing = [need.name for need in job.needs if need.name in failed]
            if missing:
                failed[job.name] = f"left out, it needs {missing[0]}"
                screen.ended(waiting.pop(job.name), failed[job.name])
            elif pool.free and not any(need.name in waiting or need.name in pool.busy for need in job.needs):
                screen.begun(job)
                pool.give(waiting.pop(job.name))
        screen.draw()
        for ended in pool.ended(timeout=POLL) if pool.busy else ():
            if ended.lost and ended.job.name not in tried_again:
                tried_again.add(ended.job.name)
                waiting = {ended.job.name: ended.job, **waiting}
                screen.say(f"{ended.job.name}: {ended.error}; once more, from its last saved state")
                screen.put_back(ended.job)
                continue
            if ended.error:
                failed[ended.job.name] = ended.error
                screen.ended(ended.job, f"failed: {ended.error.splitlines()[0]}")
            else:
                screen.ended(ended.job)
    return failed
