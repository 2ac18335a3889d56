"""A training that tells of its states: the one that it went on from, and each that it begins and has finished to save."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.faults.children import Job, Tell
from benchmarks.faults.world import World, digest, leftovers


def training(world: World, out: Path, options: dict[str, Any] | None = None) -> Job:
    """Train in ``out``, or go on there. The words, in this order:

    ``begins STEP EPOCHS DIGEST`` of the state from which it goes on; ``saving`` and ``saved`` with the same of each state, ``ended`` of the
    last; ``left NAME …`` of the temporary files that lie there after the first save and at the end; ``finished DIGEST`` of the network's weights.
    """

    def job(tell: Tell) -> None:
        tell_of_states(tell, out)
        network = world.train(out, options)
        tell("left", *leftovers(out))
        tell("finished", digest(network.state_dict()))

    return job


def tell_of_states(tell: Tell, out: Path) -> None:
    """Have this process tell, from now on."""
    from darkknowledge.training.learner import Learner
    from darkknowledge.training.loop import Lockstep

    run, save = Lockstep.run, Learner.save
    first = True

    def telling_run(self: Lockstep) -> Any:
        tell("begins", *place_and_digest(self.learners[0]))
        outcome = run(self)
        tell("ended", *place_and_digest(self.learners[0]))
        return outcome

    def telling_save(self: Learner) -> None:
        nonlocal first
        known = place_and_digest(self)
        tell("saving", *known)
        save(self)
        tell("saved", *known)
        if first:
            first = False
            tell("left", *leftovers(out))

    Lockstep.run, Learner.save = telling_run, telling_save  # type: ignore[method-assign]


def place_and_digest(learner: Any) -> tuple[int, int, str]:
    """Step and epochs done, and all of the state."""
    return learner.step, learner.epochs_done, digest_of_state(learner.state())


def digest_of_state(state: dict[str, Any]) -> str:
    """All of a training state but the seconds that it took and the number of the file's format."""
    return digest({name: value for name, value in state.items() if name not in ("seconds", "schema")})
