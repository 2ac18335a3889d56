"""Who answers while a student trains: a teacher whose answers are recorded first, the same teacher live, or a transfer set alone."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darkknowledge.contract import Objective, Output, Report, Teacher
from darkknowledge.data import Dataset
from darkknowledge.errors import IntegrityError
from darkknowledge.objective import Mixture
from darkknowledge.pipeline._materials import assemble_teacher, examine_teacher, fingerprints, is_folder, load_members, positions_of, soft_temperature
from darkknowledge.pipeline._parts import RecordedSettings
from darkknowledge.pipeline._recording import Recording, codec_for, find_or_record, identify, tellable
from darkknowledge.pipeline._reporting import error_stream
from darkknowledge.pipeline.settings import DistillSettings
from darkknowledge.runs.files import MANIFEST, sha256
from darkknowledge.runs.folder import open_run
from darkknowledge.training.passes import Passes
from darkknowledge.training.precision import resolve_device
from darkknowledge.training.recipe import Recipe
from darkknowledge.transfer import Plan, RecordedTeacher, TransferSet, require_same, require_same_pictures

IN_MEMORY = 2 << 30
"""Bytes of answers up to which they are read into memory, or onto the device, before the first step. The same everywhere, because the order of the
examples depends on it."""

BLOCK = 256
"""Examples that stay together when the answers are read from the file as training goes."""

SAMPLE, APART = 64, 0.02
"""Pictures that a teacher is asked about again before its recorded answers are used, and how far its soft targets may then lie from the recorded
ones, in total variation: hardware and batch size move them by less."""


@dataclass(frozen=True, slots=True)
class Teaching:
    """A teacher as the loop asks it, the recipe that goes with it, and what the run notes of it."""

    teacher: Teacher
    recipe: Recipe
    facts: dict[str, Any]


def prepare_teaching(
    settings: Sequence[DistillSettings], teacher: Teacher | None, data: Dataset, objectives: Sequence[Objective], report: Report
) -> list[Teaching]:
    """Who answers in runs with these settings, which differ in nothing that concerns the teacher; a ready ``teacher`` stands in for the one that they
    name. It is loaded, measured (at the temperature of the first run) and asked once for all of them.

    Raises:
        DarkKnowledgeError: the teacher knows nothing of this data, or the transfer set is not of this teacher, data, classes or transform, holds too
            little, or is damaged.
    """
    prints: list[str] = []
    shared = settings[0]
    if teacher is None and shared.teacher.source:
        members = load_members(shared.teacher, data, plugins=shared.plugins, report=report)
        teacher, prints = assemble_teacher(members, shared.teacher), fingerprints(members)
    if teacher is None:
        return _from_set(settings, data, objectives, report)
    facts: dict[str, Any] = {"teacher_fingerprints": prints} if prints else {}
    facts["teacher"] = examine_teacher(teacher, data, temperature=soft_temperature(objectives[0]), check=shared.teacher.check, report=report)
    if shared.transfer.source is not None:
        teachings = _from_set(settings, data, objectives, report, teacher=teacher)
    elif shared.transfer.mode == "recorded" and tellable(teacher):
        teachings = _record(settings, teacher, data, objectives, report, prints)
    else:
        if shared.transfer.mode == "recorded":
            report(f"the teacher is asked live: nothing tells one {type(teacher).__name__} from another, so its answers are not kept")
        teachings = [Teaching(teacher, each.training, {}) for each in settings]
    return [replace(teaching, facts=teaching.facts | facts) for teaching in teachings]


def _record(
    settings: Sequence[DistillSettings], teacher: Teacher, data: Dataset, objectives: Sequence[Objective], report: Report, prints: Sequence[str]
) -> list[Teaching]:
    """The teacher's answers to exactly what the runs will see, recorded now where they are missing: one set for all that show equally many views."""
    recipes = [each.training if data.varies else each.training.model_copy(update={"views": 1}) for each in settings]
    codec = codec_for(settings[0].transfer, len(data.class_names), temperatures=sorted({t for each in objectives for t in soft_temperatures(each)}))
    views = [Passes(data.train.ids, recipe).views for recipe in recipes]
    taught: dict[int, Teaching] = {}
    # A set with more views may hold what a run with fewer needs.
    for count in sorted(set(views), reverse=True):
        here = [index for index, its in enumerate(views) if its == count]
        identity = identify(teacher, data, views=count, codec=codec, fingerprints=prints)
        some = [recipes[index] for index in here]
        if data.varies:
            epochs = max(Passes(data.train.ids, recipe).epochs for recipe in some)
            shared = f"which {epochs} epochs share" if count < epochs else "a new one in every epoch, as from a live teacher"
            report(f"views: {count} of each picture, {shared}")
        ids, shown, _ = _rows(data, some)
        recording = Recording(teacher, data, Plan.make(identity, ids=ids, views=shown))
        found = _found_or_recorded(recording, [settings[index] for index in here], report)
        goals = [objectives[index] for index in here]
        taught |= zip(here, _taught_by(found, teacher, data, goals, some, settings[0].transfer, report), strict=True)
    return [taught[index] for index in range(len(settings))]


def _rows(data: Dataset, recipes: Sequence[Recipe]) -> tuple[Tensor, Tensor, list[int]]:
    """Ids and views of everything that runs with these recipes see, each pair once, in ascending order, both (n,); and how many each of them sees."""
    keys: dict[tuple[int | None, ...], Tensor] = {}
    ways = [Passes(data.train.ids, recipe) for recipe in recipes]
    views = ways[0].views
    of = [(way.steps, way.recipe.batch_size, way.recipe.seed, way.recipe.shuffle_block) for way in ways]
    for way, key in zip(ways, of, strict=True):
        if key not in keys:
            ids, shown = way.rows()
            keys[key] = ids * views + shown
    unique = torch.unique(torch.cat(list(keys.values()))) if len(keys) > 1 else keys[of[0]]
    return unique // views, unique % views, [len(keys[key]) for key in of]


def _found_or_recorded(recording: Recording, settings: Sequence[DistillSettings], report: Report) -> TransferSet:
    folders = _folders(settings[0])
    known = [path for each in settings for path in _noted(each)]
    known += [path.parent for folder in folders for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    return find_or_record(
        recording,
        known,
        next((folder for folder in folders if os.access(folder.parent, os.W_OK)), folders[-1]),
        device=resolve_device(settings[0].training.device),
        progress=settings[0].logging.progress,
        console=error_stream(),
        report=report,
    )


def _folders(settings: DistillSettings) -> list[Path]:
    """Where such sets lie: beside the run of the teacher, of an ensemble's first member; beside the student's run where that cannot be."""
    sources = [source for source in settings.teacher.source[:1] if is_folder(source)]
    return [Path(source) / "transfer" for source in sources] + [(settings.out or Path("runs/student")).parent / "transfer"]


def _noted(settings: DistillSettings) -> list[Path]:
    """The set that a run to be resumed was begun with: another one that holds the same rows may differ from it in the last digits."""
    if not settings.resume or settings.out is None or not settings.out.exists():
        return []
    noted = open_run(settings.out, finished=False).transfer_set
    return [noted[0]] if noted else []


def _from_set(
    settings: Sequence[DistillSettings], data: Dataset, objectives: Sequence[Objective], report: Report, *, teacher: Teacher | None = None
) -> list[Teaching]:
    """A transfer set recorded before, which needs no teacher; where one is named, the set must be of its answers."""
    transfer = settings[0].transfer
    assert transfer.source is not None
    found = TransferSet.open(transfer.source)
    fix = "use the teacher, data, classes and augmentation that the set was recorded with; dk transfer show tells which"
    wanted = replace(found.identity, data=data.fingerprint)
    if len(data.class_names) != len(wanted.class_names):  # which no codec of this set could hold
        require_same(found.identity, wanted, where=str(found.path), fix=fix)
    wanted = replace(wanted, class_names=data.class_names, transform=data.train.transform)
    if teacher is not None:
        theirs = identify(teacher, data, views=found.views, codec=found.identity.codec)
        wanted = replace(wanted, teacher=theirs.teacher, average=theirs.average, weights=theirs.weights)
    require_same(found.identity, wanted, where=str(found.path), fix=fix)
    report(f"transfer set: {found.path}, {len(found):,} rows, {found.views} view{'s'[: found.views != 1]} of each picture")
    recipes = [each.training.model_copy(update={"views": found.views}) for each in settings]
    return _taught_by(found, teacher, data, objectives, recipes, transfer, report)


def soft_temperatures(objective: Objective) -> list[float]:
    """The temperatures at which an objective looks at its teacher; none where it does not tell, as only a `Mixture` does."""
    terms = (entry.term for entry in objective.terms.values()) if isinstance(objective, Mixture) else ()
    return [term.temperature for term in terms if "teacher" in term.needs]


def _taught_by(
    found: TransferSet,
    teacher: Teacher | None,
    data: Dataset,
    objectives: Sequence[Objective],
    recipes: Sequence[Recipe],
    settings: RecordedSettings,
    report: Report,
) -> list[Teaching]:
    """The set as a teacher, after all that can be wrong with it was looked for; ``teacher`` is whose answers it holds, if it is at hand."""
    found.require_whole()
    for temperature in sorted({temperature for objective in objectives for temperature in soft_temperatures(objective)}):
        found.require_temperature(temperature, least=settings.least_mass)
    if found.temperatures is not None and not all(map(soft_temperatures, objectives)):
        report("warning: the objective does not tell its temperatures, so nobody checks how much of the soft targets the transfer set holds there")
    ids, views, counts = _rows(data, recipes)
    found.require_rows(ids, views)
    require_same_pictures(found, data.train, ids, views)
    if teacher is not None:
        _require_the_same_answers(found, teacher, data, ids, views)
    # Each by its own rows, so that its order is what it would be alone.
    small = [fits_memory(count, found.identity.bytes_per_answer) for count in counts]
    facts = {"teacher_fingerprints": list(found.identity.teacher), "transfer": {"path": str(found.path), "sha256": sha256(found.path / MANIFEST)}}
    recorded = RecordedTeacher(found.load(ids=ids, views=views) if all(small) else found)
    return [Teaching(recorded, recipe if fits else in_blocks(recipe), facts) for recipe, fits in zip(recipes, small, strict=True)]


def fits_memory(rows: int, bytes_per_answer: int) -> bool:
    """Whether so many answers are read into memory, and the examples shuffled one by one."""
    return rows * bytes_per_answer <= IN_MEMORY


def in_blocks(recipe: Recipe) -> Recipe:
    """The recipe with an order of the examples that suits answers read from a file."""
    return recipe if recipe.shuffle_block else recipe.model_copy(update={"shuffle_block": BLOCK})


@torch.no_grad()
def _require_the_same_answers(found: TransferSet, teacher: Teacher, data: Dataset, ids: Tensor, views: Tensor) -> None:
    """Ask the teacher again about some of the pictures: weights and layers, which its fingerprint holds, need not be all that decides.

    Raises:
        IntegrityError: it answers otherwise than the set.
    """
    chosen = torch.linspace(0, len(ids) - 1, min(SAMPLE, len(ids))).round().long()
    (batch,) = data.train.batches(positions_of(data.train, ids[chosen]), batch_size=SAMPLE, views=views[chosen])
    temperature = found.temperatures[0] if found.temperatures else 1.0
    answer, codec = Output.of(teacher(batch)), found.identity.codec
    members = answer.members if found.members > 1 else answer.logits(math.inf)[None]
    # As they would have been recorded, so that what the codec leaves out is no difference.
    again = codec.decode(codec.encode(members.float().flatten(0, 1)), temperature).view(members.shape)
    recorded = found.members_of(batch.ids, batch.views, temperature=temperature)
    apart = ((again / temperature).softmax(-1) - (recorded / temperature).softmax(-1)).abs().sum(-1).max().item() / 2
    if apart > APART:
        raise IntegrityError(
            f"the teacher no longer answers as recorded: its soft targets for {len(batch)} pictures differ by up to {apart:.3f} in total variation",
            where=str(found.path),
            why="something that decides its answers, beside its weights and layers, is another",
            fix="remove the set, so that it is recorded anew, or bring back the teacher as it was",
        )
