"""Run folders: what they hold, how that is written, read with care, and found."""

from impasto.run_folders.finding import find_runs, names_of, natural
from impasto.run_folders.folder import MARKS, PASSED_OVER, STATUSES, RunFolder, is_alive, read_status, running_process
from impasto.run_folders.reading import (
    Curve,
    Metrics,
    is_inside,
    open_plain,
    read_json,
    read_metrics,
    read_text,
    read_yaml,
    reason,
)

__all__ = [
    "MARKS",
    "PASSED_OVER",
    "STATUSES",
    "Curve",
    "Metrics",
    "RunFolder",
    "find_runs",
    "is_alive",
    "is_inside",
    "names_of",
    "natural",
    "open_plain",
    "read_json",
    "read_metrics",
    "read_status",
    "read_text",
    "read_yaml",
    "reason",
    "running_process",
]
