"""Each stage from the command line: compose, check, then do it or say what would be done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from darkknowledge.cli.compose import compose, to_yaml
from darkknowledge.cli.grammar import expand, jobs

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

    from darkknowledge.pipeline.settings import (
        DistillSettings,
        EvaluateSettings,
        ExportSettings,
        FigureSettings,
        ListSettings,
        PredictSettings,
        RecordSettings,
        ReportSettings,
        RunSettings,
        TrainSettings,
        TransferSetSettings,
        VerifySettings,
    )


def run_jobs(stage: str, overrides: Sequence[str], *, show_config: bool, dry_run: bool, multirun: bool) -> int:
    """Do every job of the command line; all are checked before the first begins."""
    grid = jobs(overrides, multirun=multirun)
    values = [_numbered(compose(stage, expand(stage, job), complete=not show_config), index, len(grid)) for index, job in enumerate(grid)]
    if show_config:
        print("---\n".join(to_yaml(each) for each in values), end="")
        return 0
    settings = [_checked(stage, each) for each in values]
    from rich.console import Console

    # In a file or a pipe nothing limits the width, and a table must not lose its cells' ends.
    console = Console(width=None if sys.stdout.isatty() else 200, emoji=False)
    if dry_run:
        from darkknowledge.cli.plan import plan

        for job, each in zip(grid, settings, strict=True):
            _announce(job, grid)
            print(plan(stage, each))
    elif stage == "distill" and len(grid) > 1:
        for job in grid:
            _announce(job, grid)
        _distill_grid(settings, console)
    else:
        for job, each in zip(grid, settings, strict=True):
            _announce(job, grid)
            STAGES[stage](each, console)
    return 0


def _announce(job: Sequence[str], grid: Sequence[Sequence[str]]) -> None:
    """Say which job of a grid it is."""
    if len(grid) > 1:
        print(f"job: {' '.join(job)}", file=sys.stderr)


def _checked(stage: str, values: Mapping[str, Any]) -> BaseModel:
    """The checked settings. pydantic takes a third of a second to import, and a key that Hydra does not find is reported without it."""
    from darkknowledge.pipeline import settings

    schemas: Mapping[str, type[BaseModel]] = {
        "run": settings.RunSettings,
        "train": settings.TrainSettings,
        "distill": settings.DistillSettings,
        "record": settings.RecordSettings,
        "transfer": settings.TransferSetSettings,
        "verify": settings.VerifySettings,
        "evaluate": settings.EvaluateSettings,
        "export": settings.ExportSettings,
        "predict": settings.PredictSettings,
        "report": settings.ReportSettings,
        "list": settings.ListSettings,
        "figure": settings.FigureSettings,
    }
    return settings.validate(schemas[stage], values)


def _numbered(values: dict[str, Any], index: int, count: int) -> dict[str, Any]:
    """The jobs of a grid lie in numbered folders under ``out``."""
    return values | {"out": f"{values['out']}/{index}"} if count > 1 and values.get("out") else values


def _train(settings: TrainSettings, console: Console) -> None:
    from darkknowledge.cli.tables import show_trained
    from darkknowledge.pipeline.train import train_from

    show_trained(train_from(settings), console)


def _distill(settings: DistillSettings, console: Console) -> None:
    if settings.students is not None:
        _distill_several(settings, console)
        return
    from darkknowledge.cli.tables import show_trained
    from darkknowledge.pipeline.distill import distill_from

    show_trained(distill_from(settings), console)


def _distill_several(settings: DistillSettings, console: Console) -> None:
    from darkknowledge.cli.students_table import show_students
    from darkknowledge.pipeline.distill_several import all_trained, distill_several_from
    from darkknowledge.pipeline.settings import students_of

    outcomes = distill_several_from(settings)
    show_students(outcomes, list(students_of(settings).values()), console)
    all_trained(outcomes)


def _distill_grid(grid: Sequence[Any], console: Console) -> None:
    """The jobs of a grid train together; several students in a job are together already."""
    from darkknowledge.cli.students_table import show_students
    from darkknowledge.pipeline.distill_several import all_trained, distill_grid

    single = [settings for settings in grid if settings.students is None]
    outcomes = distill_grid(single)
    if single:
        show_students(outcomes, single, console)
    for settings in grid:
        if settings.students is not None:
            _distill_several(settings, console)
    all_trained(outcomes)


def _run(settings: RunSettings, console: Console) -> None:
    from darkknowledge.cli.tables import show_comparison
    from darkknowledge.pipeline.run import run_from

    comparison = run_from(settings)
    show_comparison(comparison, console)
    if comparison.page is not None:
        console.print(f"page: {comparison.page}", highlight=False, markup=False, soft_wrap=True)


def _record(settings: RecordSettings, console: Console) -> None:
    from darkknowledge.pipeline.record import record_from

    made = record_from(settings)
    if made is not None:
        console.print(f"transfer set: {made.path}", highlight=False, markup=False, soft_wrap=True)


def _transfer(settings: TransferSetSettings, console: Console) -> None:
    from darkknowledge.transfer import describe, export

    if settings.out is not None:
        console.print(f"written: {export(settings.path, settings.out)}", highlight=False, markup=False, soft_wrap=True)
        return
    from darkknowledge.cli.transfer_table import show_transfer_set

    show_transfer_set(describe(settings.path), settings.path, console)


def _verify(settings: VerifySettings, console: Console) -> None:
    from darkknowledge.pipeline._reporting import reporter
    from darkknowledge.pipeline.verify import verify

    report = reporter(console)
    for line in verify(settings.path):
        report(line)


def _evaluate(settings: EvaluateSettings, console: Console) -> None:
    from darkknowledge.cli.tables import show_evaluations
    from darkknowledge.pipeline._reporting import reporter
    from darkknowledge.pipeline.evaluate import evaluate_from

    show_evaluations(evaluate_from(settings, report=reporter()), console)


def _export(settings: ExportSettings, console: Console) -> None:
    from darkknowledge.cli.export_table import show_exported
    from darkknowledge.pipeline._reporting import reporter
    from darkknowledge.pipeline.export import export_from

    show_exported(export_from(settings, report=reporter()), console)


def _predict(settings: PredictSettings, console: Console) -> None:
    from darkknowledge.cli.export_table import show_predictions
    from darkknowledge.pipeline.predict import predict_from

    show_predictions(predict_from(settings), console, top=settings.top)


def _report(settings: ReportSettings, console: Console) -> None:
    from darkknowledge.pipeline._reporting import reporter
    from darkknowledge.pipeline.report import report_from

    reporter(console)(f"page: {report_from(settings, report=reporter())}")


def _list(settings: ListSettings, console: Console) -> None:
    from darkknowledge.cli.listing import show_runs
    from darkknowledge.pipeline.list import list_runs

    show_runs(list_runs(settings.root), settings.root, console)


def _figure(settings: FigureSettings, console: Console) -> None:
    from darkknowledge.pipeline._reporting import reporter
    from darkknowledge.pipeline.figure import figure_from

    reporter(console)(f"figure: {figure_from(settings, report=reporter())}")


STAGES: Mapping[str, Callable[[Any, Console], None]] = {
    "run": _run,
    "train": _train,
    "distill": _distill,
    "record": _record,
    "transfer": _transfer,
    "verify": _verify,
    "evaluate": _evaluate,
    "export": _export,
    "predict": _predict,
    "report": _report,
    "list": _list,
    "figure": _figure,
}
