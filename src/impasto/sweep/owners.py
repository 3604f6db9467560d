"""Whose trial it is: the worker that runs it, and whether that worker is still there."""

import os
import socket
import time
from collections.abc import Mapping
from typing import Any

import psutil

from impasto.run_folders import is_alive

SECONDS_BETWEEN_SIGNS = 30.0
_SECONDS_UNTIL_LOST = 300.0  # without a sign, from a worker on another machine


def sign_of_life() -> dict[str, Any]:
    """Return what tells this worker apart from all others, and when it was last seen."""
    born = psutil.Process().create_time()
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": round(born, 1), "seen": round(time.time())}


def is_there(owner: Mapping[str, Any] | None) -> bool:
    """Whether a worker still runs: asked of this machine's processes, or judged by its last sign from another.

    Args:
        owner: as `sign_of_life` returned it; None for a trial whose worker did not live to sign.
    """
    if owner is None:
        return False
    if owner["host"] == socket.gethostname():
        return is_alive(owner["pid"], born=owner["born"])
    return bool(time.time() - owner["seen"] < _SECONDS_UNTIL_LOST)
