"""Every kind of hostile file; sound ones of it are opened first, so that everything is imported that opening it needs."""

from __future__ import annotations

from collections.abc import Mapping

from security.hostile import archives, networks, onnx_files, parquet_files, pictures, records, runs, safetensors_files, sets, torch_files, words
from security.hostile.file import Hostile

_ROOMS = (torch_files, safetensors_files, networks, onnx_files, archives, pictures, parquet_files, sets, runs, records, words)

HOSTILE: Mapping[str, list[Hostile]] = {room.KIND: room.HOSTILE for room in _ROOMS}
SOUND: Mapping[str, list[Hostile]] = {room.KIND: room.SOUND for room in _ROOMS}
