"""impasto report: one HTML file about run folders."""

import logging

from omegaconf import DictConfig

from impasto.build.settings import Flag, Folder, Settings, Texts
from impasto.report import write_report

log = logging.getLogger(__name__)


class ReportSettings(Settings):
    """The values of conf/report.yaml."""

    runs: Texts
    output: Folder
    outside: Flag


def run(cfg: DictConfig) -> None:
    """Write the page; name what could not be read."""
    given = ReportSettings.read(cfg)
    report = write_report(given.runs, given.output, outside=given.outside)
    for folder, problems in report.problems.items():
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        log.info("%s: %s%s", folder, problems[0], more)
    if report.left_out:
        log.info("%d older runs are left out; name fewer folders to see them", report.left_out)
    if report.outside:
        log.info(
            "pictures left out: those outside of the run folder, of %d runs; outside=true shows them", report.outside
        )
    log.info("%s", report)
