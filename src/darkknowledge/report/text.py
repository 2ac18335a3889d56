"""Texts and numbers as a page shows them. What a run folder names may have been written by a stranger."""

from __future__ import annotations

NOTHING = "n/a"
LARGEST = 1e300
"""Numbers beyond which a drawing would leave those that a computer can count with."""
JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Unseen characters that write letters and pictures, and turn nothing around."""
NULL = 0x2400
"""Where Unicode draws the first control character."""


def visible(text: object, longest: int = 60) -> str:
    """A text without what is not seen: control characters are drawn (␀), and what turns the direction of writing becomes a mark.

    >>> visible("cat\\x00 \\u202etac")
    'cat␀ �tac'
    """
    whole = str(text)
    shown = "".join(map(_drawn, whole[:longest])).strip()
    return f"{shown}…" if len(whole) > longest else shown or "(empty)"


def _drawn(character: str) -> str:
    if character.isprintable() or character in JOINERS:
        return character
    return chr(NULL + ord(character)) if ord(character) < 0x20 else "\N{REPLACEMENT CHARACTER}"


def finite(value: object) -> float | None:
    """A number that can be drawn; None for anything else that a file may hold in its place.

    >>> finite(3), finite(True), finite("3"), finite(10**400)
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
        return None
    return float(value)


def number(value: float | None, digits: int = 4) -> str:
    """With so many digits after the point.

    >>> number(float("nan"))
    'n/a'
    """
    if (value := finite(value)) is None:
        return NOTHING
    return f"{value:,.{digits}f}".replace("-", "−")


def share(value: float | None, digits: int = 2) -> str:
    """A share in [0, 1] in per cent.

    >>> share(0.0213)
    '2.13 %'
    """
    return NOTHING if (value := finite(value)) is None else f"{number(100 * value, digits)} %"


def spread(mean: float, sd: float | None, digits: int = 2, unit: str = "") -> str:
    """Mean and standard deviation over seeds.

    >>> spread(2.4, 0.85, unit=" %")
    '2.40 ± 0.85 %'
    """
    return f"{number(mean, digits)}{'' if sd is None else f' ± {number(sd, digits)}'}{unit}"


def span(low: float, high: float, digits: int = 2, unit: str = "") -> str:
    """An interval."""
    return f"{number(low, digits)} to {number(high, digits)}{unit}"


def tight(text: str) -> str:
    """A text whose numbers are not torn from what they count at the end of a line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")


def plain(value: float) -> str:
    """A number with as many digits as it needs, up to three.

    >>> plain(0.5), plain(20.0), plain(255006)
    ('0.5', '20', '255,006')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}".replace("-", "−")
