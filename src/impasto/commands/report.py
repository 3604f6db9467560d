"""impasto report: one HTML file about run folders."""

from omegaconf import DictConfig

from impasto.build.settings import Folder, Settings, Texts
from impasto.commands import log
from impasto.report.page import write_report


class _Settings(Settings):
    runs: Texts
    output: Folder


def run(cfg: DictConfig) -> None:
    """Write the page; name what could not be read."""
    given = _Settings.read(cfg)
    report = write_report(given.runs, given.output)
    for folder, problems in report.problems.items():
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        log.info("%s: %s%s", folder, problems[0], more)
    log.info("%s", report)
