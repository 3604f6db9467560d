"""HTML files about runs: a report of run folders, and the page that a sweep ends in."""

from impasto.report.page import Report, write_report

__all__ = ["Report", "write_report"]
