"""Real processes of the command line, for what can only be seen from outside: a kill, an interrupt."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `impasto <arguments>` in a folder."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "impasto.cli", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until the process has done something, at most two minutes."""
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "nothing happened for two minutes"
        time.sleep(0.02)
