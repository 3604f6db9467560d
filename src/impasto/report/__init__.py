"""One HTML file about run folders: what they are, how they ended, their curves, pictures, tables and differences."""

from impasto.report.page import Report, write_report
from impasto.run_folders import find_runs

__all__ = ["Report", "find_runs", "write_report"]
