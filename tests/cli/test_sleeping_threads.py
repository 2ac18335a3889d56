from __future__ import annotations

import os

import pytest

from darkknowledge.cli.main import guarded

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


def waiting(monkeypatch: pytest.MonkeyPatch, **chosen: str) -> dict[str, str]:
    """What the environment says of waiting threads while the program works, where the user has ``chosen`` some of it."""
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that what the program sets is taken back
        monkeypatch.delenv(name)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    found: dict[str, str] = {}

    def work() -> int:
        found.update({name: os.environ[name] for name in NAMES if name in os.environ})
        return 0

    assert guarded(work, debug=False) == 0
    return found


def test_threads_that_wait_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waiting(monkeypatch) == {"OMP_WAIT_POLICY": "PASSIVE"}


@pytest.mark.parametrize("name", NAMES)
def test_what_the_user_has_chosen_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert waiting(monkeypatch, **{name: "ACTIVE"}) == {name: "ACTIVE"}
