"""What the page says, read from its HTML and from the records that it is made of."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import random
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import darkknowledge
from darkknowledge.contract import IGNORED
from darkknowledge.errors import UsageError
from darkknowledge.report.choosing import Opinions, disagreements, instructive
from darkknowledge.report.gather import gather, one_story
from darkknowledge.report.groups import Group, Groups, groups_of, said
from darkknowledge.report.page import as_data, render, sections
from darkknowledge.report.picture import data_uri, thumbnail
from darkknowledge.report.plot import linear, logarithmic
from darkknowledge.report.sections.comparing import _lines, comparing
from darkknowledge.report.sections.matrix import clustered, mean_soft_targets
from darkknowledge.report.sections.training import unweighted
from darkknowledge.report.story import Network
from darkknowledge.report.text import visible
from darkknowledge.runs.checked_json import read_checked, write_checked
from report.invented import TEMPERATURE, comparison

SECTIONS = [
    *("outcome", "explorer", "matrix", "disagreements", "calibration", "fidelity", "training", "classes", "size"),
    "provenance",
]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def numbers(row: str, page: Path) -> Sequence[str]:
    """The cells of the first row of that name."""
    found = re.search(rf'<tr><th scope="row"><bdi>{re.escape(row)}</bdi></th>(.*?)</tr>', text_of(page))
    assert found, row
    return re.findall(r"<bdi>(.*?)</bdi>", found[1])


def test_the_story_is_told_in_its_order(page: Path) -> None:
    assert re.findall(r'<section id="(\w+)"', text_of(page)) == SECTIONS
    assert 'class="note">n/a: ' not in re.sub(r'<p id="explorer-none".*?</p>', "", text_of(page))


def test_the_errors_are_those_of_the_answers(whole: Path, page: Path) -> None:
    story = one_story(gather([whole]), title="")
    assert [len(networks) for _, _, networks in story.arms] == [1, 2, 2]
    wrong = [(answers.logits.argmax(-1) != answers.labels).sum().item() for one in story.distilled if (answers := one.answers)]
    assert [one.answers.errors for one in story.distilled if one.answers] == wrong
    mean, sd = np.mean(wrong) / 1.2, np.std(wrong, ddof=1) / 1.2
    assert numbers("error", page)[2] == f"{mean:.2f} ± {sd:.2f}\N{NO-BREAK SPACE}%"
    assert numbers("parameters", page) == ["20,000", "1,000", "1,000"]


def test_the_page_lets_run_its_own_script_and_style_alone(page: Path) -> None:
    text = text_of(page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    directives = dict(part.strip().split(" ", 1) for part in policy[1].replace("&#39;", "'").split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["img-src"] == "data:"
    for element in ("script", "style"):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        assert directives[f"{element}-src"] == f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
    assert not re.findall(r"\son\w+=|\sstyle=|href=\"(?!#)|url\(|@import", text)


def test_data_never_ends_the_element_that_it_stands_in() -> None:
    value = {"name": "</script><!--<script>&"}
    assert not set("<>&") & set(str(as_data(value)))
    assert json.loads(str(as_data(value))) == value


def test_a_page_of_pictures_in_colour_is_small(tmp_path: Path) -> None:
    folder = comparison(tmp_path / "colour", channels=3, size=32, examples=400, members=3)
    assert darkknowledge.make_report(folder, gallery=0).stat().st_size <= 500_000
    assert "The gallery was left out." in text_of(folder / "report.html")


def test_what_is_missing_or_damaged_is_said_and_the_rest_is_shown(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "torn")
    (folder / "pictures-test.safetensors").unlink()
    (folder / "alone-0" / "evaluation-test.json").unlink()
    (folder / "alone-1" / "evaluation-test.json").unlink()
    (folder / "distilled-0" / "metrics.jsonl").write_text("{")
    answers = folder / "teacher-test.safetensors"
    answers.write_bytes(answers.read_bytes()[:-1] + b"\x7f")
    made = darkknowledge.make_report(folder)
    text = text_of(made)
    assert re.findall(r'<section id="(\w+)"', text) == SECTIONS
    assert "alone-0 was never measured on the test split: dk evaluate run=" in text
    assert "teacher-test.safetensors is not the file that was written" in text
    assert "n/a: no picture was kept" in text
    assert len(numbers("error", made)) == 1, "only the distilled students can be told of"


def test_values_of_another_type_are_no_error(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "odd")
    path = folder / "distilled-0" / "evaluation-test.json"
    write_checked(path, read_checked(path) | {"cost": {"parameters": "many"}, "temperature": [3]})
    summary = folder / "comparison.json"
    write_checked(summary, read_checked(summary) | {"teacher": 7, "data": None})
    darkknowledge.make_report(folder)
    assert numbers("parameters", folder / "report.html") == ["n/a", "1,000", "1,000"]


def test_a_student_alone_has_a_page_too(whole: Path, tmp_path: Path) -> None:
    text = text_of(darkknowledge.make_report(whole / "alone-0", out=tmp_path / "alone.html"))
    assert re.findall(r'<section id="(\w+)"', text) == SECTIONS
    assert "no teacher is among the runs of this page" in text


def test_networks_measured_on_other_examples_are_not_compared(whole: Path, tmp_path: Path) -> None:
    other = comparison(tmp_path / "other", examples=60, seeds=1)
    text = text_of(darkknowledge.make_report([whole / "alone-0", other / "distilled-0"], out=tmp_path / "both.html"))
    assert "whole/alone-0 answered other examples than the first network of this page" in text


def test_errors_on_other_examples_are_in_no_group(whole: Path, tmp_path: Path) -> None:
    for name, examples in (("here", 120), ("elsewhere", 60)):
        for index, temperature in enumerate((1.0, 2.0)):
            comparison(tmp_path / name / str(index), examples=examples, seeds=1, settings={"objective": {"temperature": temperature}})
    found = groups_of(gather([tmp_path / "here", tmp_path / "elsewhere"]))
    assert found is not None
    assert {one.path.parents[1].name for group in found.groups for one in group.networks} == {"here"}
    assert [note for note in found.notes if "elsewhere/1/distilled-0 answered other examples" in note]


def test_a_line_joins_groups_that_differ_by_its_setting_alone(whole: Path) -> None:
    answers = Network("one", Path(), answers=gather([whole]).distilled[0].answers)
    common = {f"training.setting_{index}": index for index in range(9)}
    others = ({"x": 1.0, "z": 1}, {"x": 2.0, "z": 2}, {"x": 3.0, "z": 2})
    groups = tuple(Group("distilled", common | settings, (answers,)) for settings in others)
    (line,) = _lines(Groups(groups, (*common, "x", "z"), None, ()), "x").values()
    assert [x for x, _ in line] == [2.0, 3.0]


def test_settings_of_one_word_are_told_apart() -> None:
    assert [said(name) for name in ("data.name", "network.name", "objective.name")] == ["data", "network", "objective"]


def test_several_settings_make_a_comparing_page(tmp_path: Path) -> None:
    temperatures = (1.0, 2.0, 8.0)
    for index, temperature in enumerate(temperatures):
        comparison(tmp_path / "grid" / str(index), settings={"objective": {"temperature": temperature}})
    made = darkknowledge.make_report(tmp_path / "grid")
    assert made == tmp_path / "grid" / "report.html"
    text = text_of(made)
    assert re.findall(r'<section id="(\w+)"', text) == ["groups", "settings", "provenance"]
    assert "Error on test against temperature" in text
    groups = re.findall(r'<tr><th scope="row"><bdi>student (\w+)</bdi></th>(.*?)</tr>', text)
    cells = [(kind, re.findall(r"<bdi>(.*?)</bdi>", row)) for kind, row in groups]
    assert [(kind, row[0], row[1]) for kind, row in cells if kind == "distilled"] == [("distilled", f"{one:g}", "2") for one in temperatures]
    (alone,) = [row for kind, row in cells if kind == "alone"]
    assert alone[:2] == ["–", "2"], "the same students alone, trained in every job, are counted once"


JUNK = [None, -1, "x", [], {}, math.nan, math.inf, 1e308, 1e-308, True, ["a"], {"a": 1}, 10**400, "\ud800\0"]


def junk(values: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    """The same with something else in the place of one value, at any depth."""
    changed = dict(values)
    if changed:
        name = chance.choice(list(changed))
        inner = changed[name]
        changed[name] = junk(inner, chance) if isinstance(inner, Mapping) and inner and chance.random() < 0.7 else chance.choice(JUNK)
    return changed


@pytest.mark.parametrize("seed", range(12))
def test_records_and_settings_may_hold_anything(whole: Path, seed: int) -> None:
    chance = random.Random(seed)
    found = gather([whole])
    for arm in (found.teachers, found.alone, found.distilled):
        for index, one in enumerate(arm):
            metrics = [junk(record, chance) for record in one.metrics]
            parts = {name: junk(getattr(one, name), chance) for name in ("settings", "environment")}
            record = junk({**one.record, "teacher_fingerprints": ["a"]}, chance)
            arm[index] = replace(one, metrics=metrics, record=record, **parts)
    groups = groups_of(found)
    told = render("", "", sections(one_story(found, title=""), gallery=3) if groups is None else comparing(groups))
    assert not any(character in told for character in "\0\ud800")
    told.encode()


def test_what_is_no_finished_run_is_refused_in_words(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(UsageError, match="no run folder"):
        darkknowledge.make_report(tmp_path)
    with pytest.raises(UsageError, match="at least one run folder"):
        darkknowledge.make_report([])
    own = tmp_path / "thesis.html"
    own.write_text("<!DOCTYPE html>\nmine")
    with pytest.raises(UsageError, match="no page of ours"):
        darkknowledge.make_report(whole, out=own)
    assert own.read_text() == "<!DOCTYPE html>\nmine"


def test_the_matrix_is_the_mean_of_the_ensembles_soft_targets(whole: Path) -> None:
    story = one_story(gather([whole]), title="")
    teacher = story.answers("teacher")
    assert teacher is not None
    assert teacher.members is not None
    scaled = teacher.members.double().numpy() / TEMPERATURE
    soft = np.exp(scaled) / np.exp(scaled).sum(-1, keepdims=True)
    wanted = np.stack([soft.mean(0)[teacher.labels.numpy() == label].mean(0) for label in range(10)])
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(mean_soft_targets(teacher, story).numpy(), wanted, atol=1e-6)


def test_clusters_stand_together() -> None:
    labels = [0, 1, 2, 0, 1, 2, 0, 1]
    similarity = torch.tensor([[1.0 if a == b else 0.01 for a in labels] for b in labels])
    order = [labels[place] for place in clustered(similarity)]
    assert sorted(clustered(similarity)) == list(range(8))
    assert sum(a != b for a, b in pairwise(order)) == 2


def test_instructive_examples_are_torn_wrong_or_disputed() -> None:
    labels = torch.tensor([0, 0, 1, 1, IGNORED])
    teacher = torch.tensor([[9.0, 0.0], [1.0, 0.9], [0.0, 9.0], [5.0, 0.0], [0.0, 1.0]])
    student = torch.tensor([[9.0, 0.0], [0.0, 4.0], [0.0, 9.0], [5.0, 0.0], [0.0, 1.0]])
    opinions = Opinions(labels, teacher=teacher, distilled=student)
    found = instructive(opinions)
    assert (found[0].position, found[0].reason) == (1, "ambiguous, yet answered rightly")
    assert {one.position: one.reason for one in found}[3] == "answered wrongly with confidence"
    assert 4 not in [one.position for one in found if one.reason.startswith("answered wrongly")]
    assert disagreements(opinions, most=9) == [1]
    assert [one.position for one in instructive(opinions, allowed=torch.tensor([True, False, True, False, True]))] == [0, 2]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 7)])
def test_a_picture_is_the_same_when_pillow_reads_it(shape: tuple[int, int, int]) -> None:
    picture = torch.randint(0, 256, shape, dtype=torch.uint8)
    source = data_uri(picture)
    assert source is not None
    seen = np.asarray(Image.open(BytesIO(base64.b64decode(source.partition(",")[2]))))
    np.testing.assert_array_equal(seen.reshape(shape[1], shape[2], shape[0]), picture.permute(1, 2, 0).numpy())
    assert data_uri(picture[:1].repeat(2, 1, 1)) is None
    assert thumbnail(torch.rand(3, 300, 200)).shape == (3, 96, 64)


def test_terms_are_shown_without_their_weights() -> None:
    goal = {"name": "distillation", "temperature": 4.0, "alpha": 0.9, "hard_weight": None, "soft_weight": None}
    network = Network("one", Path(), settings={"objective": goal})
    assert unweighted("soft", network) == pytest.approx(0.9 * 16)
    assert unweighted("hard", network) == pytest.approx(0.1)
    alone = Network("one", Path(), settings={"objective": {"name": "hard_label", "label_smoothing": 0.0}})
    assert unweighted("hard", alone) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat", "cat"),
        ("", "(empty)"),
        ("a\0b", "a␀b"),
        ("\u202ecat", "�cat"),
        ("é\N{FAMILY}", "é\N{FAMILY}"),
        ("x" * 99, "x" * 60 + "…"),
        ("\ud800", "�"),
    ],
)
def test_texts_of_strangers_are_visible(text: str, shown: str) -> None:
    assert visible(text) == shown
    visible(text).encode()


@pytest.mark.parametrize("values", [[0.0], [3.0, 3.0], [0.001, 0.0011], [1e-9, 1e9], [float("nan"), 2.0], []])
def test_an_axis_holds_its_values_and_has_a_few_ticks(values: list[float]) -> None:
    for axis in (linear("", values), linear("", values, zero=True), logarithmic("", values)):
        assert axis.low < axis.high
        assert len(axis.ticks) < 16
        finite = [value for value in values if value == value and (value > 0 or not axis.log)]
        assert all(0 <= axis.share(value) <= 1 for value in finite)
        assert all(axis.low * (1 - 1e-9) <= value <= axis.high * (1 + 1e-9) for value in finite)
