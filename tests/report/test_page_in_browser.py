"""The page as a person meets it: in Chromium, with and without a script, in the dark, on a phone, by keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import darkknowledge
from darkknowledge.report.reading import read_answers
from report.conftest import Opened
from report.invented import TEMPERATURE, comparison

Show = Callable[..., Opened]

HOSTILE = [
    "</script><script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 1'>",
    "javascript:window.ran=1",
    '"><svg onload="window.ran = 1">',
    "\u202etxet eht fo dne",
    "\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET} \N{FAMILY}",
    "x" * 10_000,
    "nul\0 and \x1b[2J",
    "{{ 7 * 7 }} ${7 * 7}",
    "\ud800 <!-- ]]> &lt;b&gt;",
]


def softmax(logits: Any, temperature: float) -> Any:
    """In NumPy, from the definition."""
    scaled = np.asarray(logits, np.float64) / temperature
    parts = np.exp(scaled - scaled.max(-1, keepdims=True))
    return parts / parts.sum(-1, keepdims=True)


def columns(tab: Any) -> Any:
    """The probabilities that the page shows, (series, classes)."""
    rows = tab.eval_on_selector_all(
        "#explorer-table tbody:first-of-type tr",
        "rows => rows.map(row => [...row.querySelectorAll('td span')].map(cell => Number(cell.textContent)))",
    )
    return np.array(rows).T


def expected(folder: Path, id_: int, temperature: float) -> Any:
    """Teacher (the mean of its members' probabilities), student distilled, student alone, and the members, from the files of the run."""
    teacher = read_answers(folder, "teacher-test.safetensors", folder / "comparison.json")
    assert teacher.members is not None
    at = teacher.ids.tolist().index(id_)
    members = softmax(teacher.members[:, at].numpy(), temperature)
    students = [
        read_answers(folder / name, "answers-test.safetensors", folder / name / "evaluation-test.json") for name in ("distilled-0", "alone-0")
    ]
    return np.array([members.mean(0), *(softmax(one.logits[at].numpy(), temperature) for one in students), *members])


def choose(tab: Any, temperature: float) -> None:
    tab.fill("#explorer-number", str(temperature))
    settle(tab)


def settle(tab: Any) -> None:
    """Wait for the next frame to be drawn."""
    tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_the_numbers_are_numpys_softmax_at_every_temperature(show: Show, whole: Path, page: Path) -> None:
    tab = show(page).tab
    samples = json.loads(tab.text_content("#explorer-data"))["samples"]
    assert len(samples) > 10
    seen = []
    for index in (0, 3, len(samples) - 1):
        tab.evaluate(
            "index => { const all = document.querySelector('#explorer-sample'); all.selectedIndex = index; all.dispatchEvent(new Event('change')); }",
            index,
        )
        settle(tab)
        id_ = int(re.findall(r"\d+", tab.get_attribute("#explorer-picture", "alt"))[0])
        seen.append(id_)
        for temperature in (0.5, 1, 2, 4, 8, 20):
            choose(tab, temperature)
            found, wanted = columns(tab), expected(whole, id_, temperature)
            assert found.shape == wanted.shape == (5, 10)
            np.testing.assert_allclose(found, wanted, atol=1e-4)
            entropy = -(wanted * np.log(wanted)).sum(-1)
            told = [float(text) for text in tab.locator("#explorer-entropy td").all_text_contents()]
            np.testing.assert_allclose(told, entropy, atol=1e-3)
            effective = [float(text) for text in tab.locator("#explorer-effective td").all_text_contents()]
            np.testing.assert_allclose(effective, np.exp(entropy), atol=5e-3)
            first = [str(one) for one in np.argsort(-wanted[0])[1:4]]
            assert tab.locator("#explorer-next td").first.text_content() == ", ".join(first)
    assert len(set(seen)) == 3


def test_the_slider_works_by_keyboard_and_says_what_it_does(show: Show, page: Path) -> None:
    tab = show(page).tab
    for _ in range(60):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.id") == "explorer-slider":
            break
    assert tab.evaluate("document.activeElement.id") == "explorer-slider", "the slider cannot be reached"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    before = columns(tab)
    tab.keyboard.press("ArrowRight")
    settle(tab)
    warmer = float(tab.input_value("#explorer-number"))
    assert TEMPERATURE < warmer < 1.05 * TEMPERATURE
    assert tab.get_attribute("#explorer-slider", "aria-valuetext") == f"temperature {tab.input_value('#explorer-number')}"
    assert columns(tab)[0].max() < before[0].max(), "a higher temperature is flatter"
    tab.keyboard.press("Home")
    settle(tab)
    assert float(tab.input_value("#explorer-number")) == 0.5
    tab.keyboard.press("End")
    assert float(tab.input_value("#explorer-number")) == 50


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(show: Show, page: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe
    tab = show(page, color_scheme=scheme, bypass_csp=True).tab  # axe is a script of its own
    tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    found = axe().run(tab).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


def test_without_a_script_the_first_picture_is_there_and_nothing_that_would_not_work(show: Show, whole: Path, page: Path) -> None:
    tab = show(page, java_script_enabled=False).tab
    assert not tab.is_visible("#explorer-controls")
    assert not tab.is_visible("input[type=search]")
    assert tab.is_visible("#explorer-curves svg")
    text = page.read_text(encoding="utf-8")
    cells = re.findall(r"<td><svg class=\"meter\".*?<span>([\d.]+)</span>", text)
    id_ = int(re.findall(r'alt="Test picture (\d+)"', text)[0])
    np.testing.assert_allclose(np.array(cells, float).reshape(10, 5).T, expected(whole, id_, TEMPERATURE), atol=1e-5)


def test_a_phone_scrolls_in_one_direction(show: Show, page: Path) -> None:
    tab = show(page, viewport={"width": 390, "height": 844}, is_mobile=True).tab
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


def test_hostile_names_run_nothing_and_are_shown(show: Show, tmp_path: Path) -> None:
    folder = comparison(tmp_path / "<img src=x onerror=window.ran=1>", names=HOSTILE, settings={"data": {"name": HOSTILE[0]}, "note": HOSTILE[7]})
    made = darkknowledge.make_report(folder)
    tab = show(made).tab
    tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    for index in range(4):
        tab.click("#explorer-after")
        choose(tab, 2 + index)
    assert tab.evaluate("window.ran") is None
    assert tab.locator("main script:not([type='application/json'])").count() == 0
    assert tab.locator("main img:not([src^='data:image/png;base64,'])").count() == 0
    text = tab.text_content("main")
    assert "<img src=x onerror=" in text
    assert "nul␀" in text
    assert not any(character in text for character in "\0\x1b\u202e\ud800")
    assert len(max(tab.locator("main th bdi").all_text_contents(), key=len)) < 100
    assert made.stat().st_size < 600_000


@pytest.mark.parametrize("classes", [2, 1000])
def test_it_opens_within_a_second_and_moves_within_a_frame(show: Show, tmp_path: Path, classes: int) -> None:
    names = [f"class number {index}" for index in range(classes)]
    made = darkknowledge.make_report(comparison(tmp_path / "many", names=names, examples=max(classes, 40), seeds=1))
    tab = show(made).tab
    timings = []
    for _ in range(3):  # the machine may have other work
        timings.append(tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
        tab.reload()
    assert 0 < min(timings) < 1000, timings
    moves = tab.evaluate(
        """() => {
          window.requestAnimationFrame = (draw) => draw();
          const slider = document.querySelector("#explorer-slider"), times = [], seen = new Set();
          for (let step = 0; step < 60; step++) {
            const start = performance.now();
            slider.value = String(3 * step);
            slider.dispatchEvent(new Event("input"));
            document.body.getBoundingClientRect();
            times.push(performance.now() - start);
            seen.add(document.querySelector("#explorer-temperature").textContent);
          }
          return { times: times.sort((a, b) => a - b), seen: seen.size };
        }"""
    )
    assert moves["seen"] == 60, "not every move was drawn"
    assert moves["times"][30] < 16, f"a move takes {moves['times'][30]:.1f} ms"
    rows = tab.locator("#explorer-table tbody:first-of-type tr").count()
    assert rows == (2 if classes == 2 else 16)
    np.testing.assert_allclose(columns(tab).sum(-1), 1, atol=2e-4)
    if classes > 50:
        tab.click("text=strongest pairs")
        filled = tab.locator("#matrix input[type=search]")
        row = tab.locator("#matrix tbody tr").nth(7).locator("th").text_content()
        filled.fill(row)
        left = tab.locator("#matrix tbody tr:visible").all_text_contents()
        assert left
        assert all(row in one for one in left)
