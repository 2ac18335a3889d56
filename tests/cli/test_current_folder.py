"""A class of one's own in the current folder is found; it hides nothing that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WITHOUT = Path(__file__).parents[1] / "without"

NETWORK = """
from torch import nn

def Small(*, num_classes, input_shape, width=4):
    channels, height, deep = input_shape
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * deep, width), nn.ReLU(), nn.Linear(width, num_classes))
"""


def test_a_network_in_the_current_folder_is_found_and_a_json_py_there_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "own_networks.py").write_text(NETWORK, encoding="utf-8")
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')", encoding="utf-8")
    program = str(Path(sys.executable).with_name("dk"))
    words = ["train", "model=own_networks:Small", "+model.width=8", "training.steps=2", "out=run"]
    environment = {**os.environ, "PYTHONPATH": str(WITHOUT)}
    done = subprocess.run([program, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "own_networks:Small" in (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")
