from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version

import torch

from darkknowledge.runs.environment import PACKAGES, environment


def test_the_versions_are_those_that_are_installed() -> None:
    facts = environment()
    assert facts["packages"] == {name: version(name) for name in PACKAGES}
    assert facts["python"] == platform.python_version()
    assert facts["threads"] == torch.get_num_threads()
    assert facts["processor"]
    assert 1 <= facts["cores"] <= (os.cpu_count() or 1)


def test_recording_the_environment_does_not_import_torch() -> None:
    code = "import sys; from darkknowledge.runs.environment import environment; environment(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
