"""Invented runs made once, and one browser for all tests of pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import darkknowledge
from report.invented import comparison

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison with everything that a page can show. Tests leave it as it is."""
    return comparison(tmp_path_factory.mktemp("pages") / "whole")


@pytest.fixture(scope="session")
def page(whole: Path) -> Path:
    """Its page."""
    return darkknowledge.make_report(whole)


@dataclass
class Opened:
    """A page in the browser, and what it did that it may not: every request but the one for itself, every complaint."""

    tab: Any
    faults: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    if not CHROMIUM.is_file():
        pytest.skip(f"NOT TESTED: no page was opened, as there is no {CHROMIUM} (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api").sync_playwright().start()
    browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
    yield browser
    browser.close()
    playwright.stop()


@pytest.fixture
def show(chromium: Any) -> Iterator[Callable[..., Opened]]:
    """``show(path, **context)`` opens a page in a context of its own; at the end of the test no page may have done what it may not."""
    contexts, pages = [], []

    def open_page(path: Path, **context: Any) -> Opened:
        contexts.append(chromium.new_context(**context))
        opened = Opened(contexts[-1].new_page())
        pages.append(opened)
        watch(opened, path)
        opened.tab.goto(path.as_uri())
        return opened

    yield open_page
    faults = [fault for opened in pages for fault in opened.faults]
    for context in contexts:
        context.close()
    assert faults == []


def watch(opened: Opened, path: Path) -> None:
    """Note requests, messages on the console, errors, dialogs and violations of the policy."""
    tab, faults = opened.tab, opened.faults
    tab.on("request", lambda request: None if request.url == path.as_uri() or request.url.startswith("data:") else faults.append(request.url))
    tab.on("console", lambda message: faults.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: faults.append(f"error: {error}"))
    tab.on("dialog", lambda dialog: (faults.append("dialog"), dialog.dismiss()))
    tab.add_init_script("addEventListener('securitypolicyviolation', (event) => console.error('violation: ' + event.violatedDirective))")
