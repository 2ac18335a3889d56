"""The page of networks that were really trained and measured."""

from __future__ import annotations

import re
from pathlib import Path

import darkknowledge
from darkknowledge.report.gather import gather, one_story
from report.test_page import SECTIONS, text_of

SHORT = {"steps": 20, "threads": 1, "compile": "off"}
QUIET = {"progress": False}
SMALL = {"name": "hinton_mlp", "hidden": [16]}


def test_runs_that_were_made_one_by_one_tell_the_same_story(tmp_path: Path) -> None:
    teacher, alone, distilled = (tmp_path / name for name in ("teacher", "alone", "distilled"))
    darkknowledge.train({"name": "hinton_mlp", "hidden": [64]}, "digits", training={**SHORT, "steps": 60}, logging=QUIET, out=teacher)
    darkknowledge.train(SMALL, "digits", training=SHORT | {"views": 8}, logging=QUIET, out=alone)
    darkknowledge.distill(teacher, SMALL, "digits", training=SHORT, logging=QUIET, out=distilled)
    runs = [teacher, alone, distilled]
    found = darkknowledge.evaluate(runs, cost=False)
    text = text_of(darkknowledge.make_report(runs))
    assert re.findall(r'<section id="(\w+)"', text) == SECTIONS
    for evaluation in found:
        assert f"{100 * (1 - evaluation.accuracy.top1):.2f} %" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert re.search(r'<img id="explorer-picture"[^>]* src="data:image/png;base64,', text)
    story = one_story(gather(runs), title="")
    assert story.teacher is not None
    assert story.teacher.path == teacher, "it is known by its fingerprint, whatever it is called"
    one = text_of(darkknowledge.make_report(distilled))
    assert "the teacher" in one
    assert "no student alone is among the runs of this page" in one
