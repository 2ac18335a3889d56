"""The page of networks that were really trained and measured."""

from __future__ import annotations

import re
from pathlib import Path

from scipy.stats import binomtest

import darkknowledge
from darkknowledge.analysis import correct
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
    text = text_of(darkknowledge.make_report(runs)).replace("\N{NO-BREAK SPACE}", " ")
    assert re.findall(r'<section id="(\w+)"', text) == SECTIONS
    for evaluation in found:
        assert f"{100 * (1 - evaluation.accuracy.top1):.2f} %" in text
    assert re.search(r'<img id="explorer-picture"[^>]* src="data:image/png;base64,', text)
    story = one_story(gather(runs), title="")
    assert story.teacher is not None
    assert story.teacher.path == teacher, "it is known by its fingerprint, whatever it is called"
    right = [correct(one.answers.logits, one.answers.labels) for one in found[1:]]
    won, lost = (int((a & ~b).sum()) for a, b in (right[::-1], right))
    p = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert f"({won} pictures won and {lost} lost: McNemar’s exact test, p = {p:.2g}). How another seed would do is not known." in text
    assert "n/a: one seed, or seeds that come to the same, do not tell how large the gap is." in text
    darkknowledge.evaluate([distilled])
    with_costs = text_of(darkknowledge.make_report([alone, distilled]))
    size = sum(weights.numel() for weights in darkknowledge.load(teacher / "model").parameters())
    assert f"{size:,}" in with_costs, "the teacher's costs lie beside the student's"
    one = text_of(darkknowledge.make_report(distilled))
    assert "the teacher" in one
    assert "no student alone is among the runs of this page" in one
