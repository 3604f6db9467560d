"""HTML files about runs: a report of run folders, and the page that a sweep ends in."""

from impasto.report.page import Report, write_report
from impasto.report.sweep_page import write_sweep_page
from impasto.report.sweep_plots import write_sweep_plots
from impasto.report.sweep_sheet import write_sweep_sheet
from impasto.report.sweep_shown import SweepShown, TrialShown
from impasto.run_folders import find_runs

__all__ = [
    "Report",
    "SweepShown",
    "TrialShown",
    "find_runs",
    "write_report",
    "write_sweep_page",
    "write_sweep_plots",
    "write_sweep_sheet",
]
