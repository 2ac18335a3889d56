"""A reader that has read enough is no mistake."""

from __future__ import annotations

import subprocess
import sys


def test_output_that_nobody_reads_ends_quietly() -> None:
    process = subprocess.Popen([sys.executable, "-m", "darkknowledge.cli.main", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0
