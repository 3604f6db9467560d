"""HTML files about runs: a report of run folders, and the page that a sweep ends in."""

from impasto.report.page import Report, write_report
from impasto.run_folders import find_runs

__all__ = ["Report", "find_runs", "write_report"]
