"""All hostile files, and sound ones that are opened first, so that everything is imported that opening a file needs."""

from __future__ import annotations

from security import hostile_data, hostile_sets, hostile_weights
from security.hostile import Hostile

HOSTILE: list[Hostile] = [*hostile_weights.HOSTILE, *hostile_data.HOSTILE, *hostile_sets.HOSTILE]
SOUND: list[Hostile] = [*hostile_weights.SOUND, *hostile_data.SOUND, *hostile_sets.SOUND]
