"""The training loop, on Lightning Fabric: read it from `fit` down.

Fabric brings device, precision and process group; what is done in which order stands here, and what a step is in `Learner`. The order of the
examples, their views, dropout and the learning rate are functions of the seed and the step, so a run that was stopped anywhere goes on as if it had
not been.

Runs that see the same batches advance in lockstep: each batch is read, augmented, moved and answered by the teacher once, and then every run takes
its own step on it. A run alone is a group of one, so its weights are the same, to the last bit, whoever it is trained with; many tiny networks that
are computed as one (`darkknowledge.training.batched`) differ from that by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from time import monotonic

from torch import nn

from darkknowledge.contract import Answer, Batch, Examples, Objective, Teacher
from darkknowledge.errors import DarkKnowledgeError, DataError, DivergedError, Interrupted
from darkknowledge.training.batched import Batched, worth_batching
from darkknowledge.training.compiling import compiled, piece_sizes
from darkknowledge.training.learner import Learner
from darkknowledge.training.memory import freed_memory_kept, shortage_told
from darkknowledge.training.precision import resolve_device
from darkknowledge.training.randomness import seed_step
from darkknowledge.training.recipe import Recipe, same_batches
from darkknowledge.training.residency import reside
from darkknowledge.training.signals import StopRequest, stop_request, stoppable
from darkknowledge.training.student import Fitted, Student
from darkknowledge.training.threads import threads_restored
from darkknowledge.training.validation import validate
from darkknowledge.training.watching import Watcher


def fit(
    network: nn.Module,
    objective: Objective,
    train: Examples,
    recipe: Recipe,
    *,
    validation: Examples | None = None,
    teacher: Teacher | None = None,
    name: str = "training",
    watchers: Sequence[Watcher] = (),
    checkpoint: Path | None = None,
) -> Fitted:
    """Train ``network`` in place, from the state in the folder ``checkpoint`` where there is one.

    With ``recipe.ema`` the network ends with the averaged weights.

    Raises:
        DataError: there is nothing to train on.
        DivergedError: the loss, a gradient or a weight is no longer finite; found when a record is made, without waiting for the device at every
            step. The last state that was saved is a good one.
        ResourceError: the memory is not enough; the last state that was saved is kept.
        Interrupted: SIGINT or SIGTERM came, and the state was saved.
    """
    student = Student(network, objective, recipe, name, watchers, checkpoint)
    (outcome,) = fit_together([student], train, validation=validation, teacher=teacher)
    if isinstance(outcome, DivergedError):
        raise outcome
    return outcome


@freed_memory_kept()
@threads_restored()
def fit_together(
    students: Sequence[Student], train: Examples, *, validation: Examples | None = None, teacher: Teacher | None = None
) -> list[Fitted | DivergedError]:
    """Train several networks in place from one pass over the data and the teacher's answers; what became of each.

    Their recipes must agree on the batches (`same_batches`). Each network is trained as `fit` would train it alone, to the last bit unless many tiny
    ones are computed as one; one whose loss is no longer finite drops out, and the others go on.

    Raises:
        DataError: there is nothing to train on.
        ResourceError: the memory is not enough; the last states that were saved are kept.
        Interrupted: SIGINT or SIGTERM came, and all states were saved.
    """
    if not len(train):
        raise DataError("the training split is empty", fix="keep at least one example to train on")
    assert all(same_batches(student.recipe, students[0].recipe) for student in students), "these runs do not see the same batches"
    # Nothing is done yet that a signal would have to wait for.
    with stoppable(), shortage_told(resolve_device(students[0].recipe.device), lambda: _too_large_to_begin(students)):
        learners = [Learner(student, train.ids) for student in students]
        device = learners[0].fabric.device
        train, validation = reside([train, validation], device)
        teacher = teacher.to(device) if teacher is not None else None
    outcomes: dict[int, Fitted | DivergedError] = {}
    # After a kill their saved states may be of different steps; those of one step go on together.
    for place in sorted({(learner.epochs_done, learner.step) for learner in learners}):
        here = [index for index, learner in enumerate(learners) if (learner.epochs_done, learner.step) == place]
        group = Lockstep([learners[index] for index in here], train, validation, teacher)
        outcomes |= zip(here, group.run(), strict=True)
    return [outcomes[index] for index in range(len(learners))]


def _too_large_to_begin(students: Sequence[Student]) -> tuple[str, str]:
    """What there is not enough memory for before the first step, and what may help."""
    who = students[0].name if len(students) == 1 else f"{len(students)} students together"
    return f"begin to train {who}: for the networks and their data", "choose a smaller network, a freer device, or training.device=cpu"


class Lockstep:
    """Runs at the same step of the same way through the examples."""

    def __init__(self, learners: Sequence[Learner], train: Examples, validation: Examples | None, teacher: Teacher | None) -> None:
        self.learners, self.going, self.train, self.validation = learners, list(learners), train, validation
        # Whatever they agree on, the first has.
        self.first, self.device = learners[0], learners[0].fabric.device
        self.teacher = teacher
        self.watched = {learner: ExitStack() for learner in learners}
        self.diverged: dict[Learner, DivergedError] = {}
        self.batched: Batched | None = None
        self.begun_at = self.first.step

    def run(self) -> list[Fitted | DivergedError]:
        """Train to the end; what became of each run."""
        with ExitStack() as begun:
            for learner in self.learners:
                learner.began = monotonic()
                begun.enter_context(self.watched[learner])
                # Begun from the last to the first, they end from the first to the last.
                for watcher in reversed(learner.watchers):
                    watcher.begin(learner.plan)
                    self.watched[learner].push(_end_of(watcher))
            with stop_request() as stop, shortage_told(self.device, self.too_large):
                self.batch_where_faster()
                begun.callback(self.release)
                while self.going and self.going[0].epochs_done < self.first.epochs:
                    self.epoch(stop)
        results: dict[Learner, Fitted] = {}
        self.each(lambda learner: results.update({learner: learner.result()}))
        return [self.diverged[learner] if learner in self.diverged else results[learner] for learner in self.learners]

    def epoch(self, stop: StopRequest) -> None:
        """What is left of the epoch under way, and its sum."""
        for learner in self.going:
            learner.network.train()
        for batch in self.remaining_batches():
            with self.first_step():
                self.advance(batch.to(self.device))
            if stop.signal is None:
                self.save_when_due()
            if stop.signal is not None or not self.going:
                break
        self.stop_if_asked(stop)
        self.end_epoch(stop)
        self.stop_if_asked(stop)
        self.save_when_due()

    def remaining_batches(self) -> Iterator[Batch]:
        """The batches of the current epoch that are still to come: none where a signal came with its last one."""
        learner = self.going[0]
        positions, views = learner.passes.epoch(learner.epochs_done, begin=learner.step - learner.epochs_done * learner.per_epoch)
        # Whoever writes `Examples` need not think of a pass over nothing.
        return self.train.batches(positions, batch_size=learner.recipe.batch_size, views=views) if len(positions) else iter(())

    def advance(self, batch: Batch) -> None:
        """One step of every run on one batch, in ``recipe.accumulate`` pieces that are answered once for all of them."""
        recipe = self.first.recipe
        seed_step(recipe.seed, self.going[0].step, self.device)  # for a teacher that draws numbers, too
        answered = [(piece, self.ask(piece)) for piece in batch.split(recipe.accumulate)]
        if self.batched is None:
            self.each(lambda learner: learner.advance(batch, answered))
            return
        self.batched.advance(batch, answered)
        self.each(Learner.finish_step)

    def first_step(self) -> AbstractContextManager[None]:
        """A step that compiles takes a minute, and before it there is nothing that a signal would have to wait for."""
        compiles = self.going[0].step == self.begun_at and any(compiled(learner.called) for learner in self.going)
        return stoppable() if compiles else nullcontext()

    def ask(self, piece: Batch) -> Answer | None:
        """What the teacher says of the very inputs that the students see; in float32 whatever their precision, as a recorded teacher answers."""
        return self.teacher(piece) if self.teacher is not None else None

    def end_epoch(self, stop: StopRequest) -> None:
        """Validate all on one pass over the validation split, if it is time, and sum the epoch up; after a signal neither."""
        if not self.going:  # all have diverged
            return
        number = self.going[0].epochs_done + 1
        due = number % self.first.recipe.validate_every == 0 or number == self.first.epochs
        if self.validation is None or not len(self.validation) or not due:
            self.each(lambda learner: learner.end_epoch(None))
            return
        for learner in self.going:
            learner.averaged.eval()
        answers = [learner.answer for learner in self.going]
        scores = validate(answers, self.validation, device=self.device, batch_size=self.validation_batch, stop=stop)
        if scores is None:
            return
        of = dict(zip(self.going, scores, strict=True))
        self.each(lambda learner: learner.end_epoch(of[learner]))

    @property
    def validation_batch(self) -> int:
        """Without a graph four times as many examples take less memory than a piece of a batch does in a step, however small that had to be."""
        return min(1024, 4 * max(piece_sizes(self.first.recipe)))

    def batch_where_faster(self) -> None:
        """Compute the networks as one, or each by itself."""
        self.release()
        self.batched = Batched(self.going) if self.going and worth_batching(self.going) else None

    def release(self) -> None:
        """Give every network its own parameters."""
        if self.batched is not None:
            self.batched.release()
            self.batched = None

    def each(self, act: Callable[[Learner], None]) -> None:
        """Let every run act that has not diverged; one that does now drops out, and the others go on."""
        for learner in list(self.going):
            try:
                act(learner)
            except DivergedError as error:
                self.diverged[learner] = error
                self.going.remove(learner)
                self.watched[learner].close()
        if self.batched is not None and len(self.going) < len(self.batched.learners):
            self.batch_where_faster()

    def stop_if_asked(self, stop: StopRequest) -> None:
        """After a signal: save all states and stop."""
        if stop.signal is None or not self.going:
            return
        self.each(Learner.save)
        if not self.going:
            return
        kept, fix = "nothing is kept, as there is no run folder", ""
        if self.first.checkpoint is not None:
            kept = "its state is saved" if len(self.going) == 1 else f"the states of {len(self.going)} students are saved"
            fix = "the same command goes on with resume=true and out=… naming the run's folder"
        what = f"stopped by signal {stop.signal} after step {self.going[0].step} of {self.first.steps}; {kept}"
        raise Interrupted(what, signal=stop.signal, fix=fix)

    def too_large(self) -> tuple[str, str]:
        """What there is not enough memory for, and what may help."""
        recipe = self.first.recipe
        who = self.first.name if len(self.learners) == 1 else f"{len(self.learners)} students together"
        pieces = f", computed in {recipe.accumulate} pieces" if recipe.accumulate > 1 else ""
        fix = "choose a smaller network"
        if recipe.accumulate < recipe.batch_size:
            fix = f"training.accumulate={min(2 * recipe.accumulate, recipe.batch_size)} computes the same batch in smaller pieces"
            fix += f", training.batch_size={recipe.batch_size // 2} makes it smaller{self.first.kept('training.accumulate')}"
        if len(self.learners) > 1:
            fix += "; or train fewer students at once"
        return f"train {who} in batches of {recipe.batch_size}{pieces}", fix

    def save_when_due(self) -> None:
        """Save all states when one of them is due, so that they stay at the same step."""
        if any(learner.due for learner in self.going):
            self.each(Learner.save)


def _end_of(watcher: Watcher) -> Callable[[object, BaseException | None, object], None]:
    """Lets a watcher end; that it can't, such as on a full disk, does not hide what went wrong before."""

    def end(kind: object, error: BaseException | None, place: object) -> None:
        try:
            watcher.end()
        except DarkKnowledgeError as unwritable:
            if error is None:
                raise
            error.add_note(str(unwritable))

    return end
