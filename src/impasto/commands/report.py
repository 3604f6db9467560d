"""impasto report: one HTML file about run folders."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from impasto.report import write_report

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Write the page; name what could not be read.

    Raises:
        FileNotFoundError: a folder that does not exist.
        ValueError: a folder without a run, an output that is no name of a page, or outside that is no truth value.
        OSError: the page cannot be written.
    """
    runs = [cfg.runs] if isinstance(cfg.runs, str | int) else list(cfg.runs or [])
    if not isinstance(cfg.outside, bool):
        raise ValueError(f"expected outside=true or outside=false, got {cfg.outside}")
    report = write_report([str(name) for name in runs], Path(str(cfg.output)).expanduser(), outside=cfg.outside)
    for folder, problems in report.problems.items():
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        log.info("%s: %s%s", folder, problems[0], more)
    if report.left_out:
        log.info("%d older runs are left out; name fewer folders to see them", report.left_out)
    if report.outside:
        log.info("pictures left out: %d outside of the run folders, which outside=true shows", report.outside)
    log.info("%s", report)
