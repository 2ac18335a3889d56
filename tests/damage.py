"""Files as a bad disk, a broken copy or a stranger leaves them, each made from a sound one and a number; and what must become of their readers."""

from __future__ import annotations

import copy
import json
import time
import warnings
from collections.abc import Callable
from random import Random
from typing import Any

from darkknowledge.errors import DarkKnowledgeError

SECONDS = 2
"""Of processor time, for one file."""

ODD = (
    *(None, True, False, 0, -1, 1, 2, 7, 1 << 31, 1 << 62, 1 << 63, 1 << 64, 10**400, 0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf")),
    *("", "0", "x", "x" * 2000, "\0", "\x1b[2J", "\ud800", "../../x", "/dev/zero", "torch", "os.system", "__class__", [], [[]], {}, {"": None}),
)
"""Values of JSON that stand for another."""

TEXTS = ("", " ", "[" * 100_000, '{"a":' * 20_000, "9" * 5000, "NaN", "null", '"', "\ufeff{}", "\x00")
"""Texts that stand for all of a file."""


def damaged(sound: bytes, seed: int) -> bytes:
    """The content after one to three accidents; one in ten times something else entirely."""
    random = Random(seed)
    if random.random() < 0.1:
        return random.choice((b"", random.randbytes(random.randrange(1, 300)), bytes(len(sound)), sound + sound))
    content = bytearray(sound)
    for _ in range(random.randint(1, 3)):
        place = random.choice((random.randrange(len(content) + 1), random.randrange(min(len(content), 64) + 1)))
        end = place + random.choice((1, 1, 1, 4, 8, random.randrange(1, 200)))
        part = bytes(content[place:end])
        match random.randrange(8):
            case 0 | 1:
                content[place:end] = bytes(byte ^ 1 << random.randrange(8) for byte in part)
            case 2:
                content[place:end] = random.randbytes(len(part))
            case 3:
                content[place:end] = bytes([random.choice((0, 0xFF, 0x7F, 0x80))]) * len(part)
            case 4:
                del content[place:]
            case 5:
                del content[place:end]
            case 6:
                content[place:place] = part * random.choice((1, 2, 50))
            case _:
                content[place:place] = random.randbytes(random.randrange(1, 20))
    return bytes(content)


def altered(sound: Any, seed: int) -> Any:
    """The JSON value with one to three of its parts odd, gone, doubled or in another's place."""
    random, value = Random(seed), copy.deepcopy(sound)
    for _ in range(random.randint(1, 3)):
        places = _places(value)
        if not places:
            return random.choice(ODD)
        parent, key = random.choice(places)
        match random.randrange(7):
            case 0:
                del parent[key]
            case 1:
                other, its = random.choice(places)
                parent[key] = copy.deepcopy(other[its])
            case 2 if isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
                parent[key] += random.choice((1, -1, 0.5, 1 << 40))
            case 3 if isinstance(parent, dict):
                parent[random.choice(("more", "", "__class__", key + "s"))] = parent[key]
            case 4 if isinstance(parent[key], list):
                parent[key] = parent[key] * random.choice((0, 2, 100))
            case _:
                parent[key] = copy.deepcopy(random.choice(ODD))
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every part of a value, as what holds it and its key there."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


def as_json(value: Any, seed: int, **style: Any) -> bytes:
    """Its text, NaN and all; now and then with a key twice, or another text altogether."""
    random, text = Random(seed), json.dumps(value, **style)
    if random.random() < 0.1:
        text = random.choice((random.choice(TEXTS), text.replace('": ', '": 0, "x": ', 1), text.replace("{", '{"schema": 1, ', 1), text + text))
    return text.encode(errors="surrogatepass")


def require_words(read: Callable[[], object]) -> bool:
    """Whether a reader made something of a file, and did not raise one of the package's errors; any other gets through, as does one without end."""
    began = time.process_time()
    try:
        with warnings.catch_warnings(action="ignore"):
            read()
    except DarkKnowledgeError:
        return False
    finally:
        assert time.process_time() - began < SECONDS
    return True
