"""impasto report: one HTML file about run folders."""

from omegaconf import DictConfig

from impasto.build.settings import Folder, Settings, Texts
from impasto.commands import log
from impasto.report.page import write_report
from impasto.report.record import count_statuses


class _Settings(Settings):
    runs: Texts
    output: Folder


def run(cfg: DictConfig) -> None:
    """Write the page; name what could not be read."""
    given = _Settings.read(cfg)
    runs = write_report(given.runs, given.output)
    for run in runs:
        if run.problems:
            more = f" (and {len(run.problems) - 1} more)" if len(run.problems) > 1 else ""
            log.info("%s: %s%s", run.folder, run.problems[0], more)
    statuses = ", ".join(f"{count} {status}" for status, count in count_statuses(runs).items())
    what, size = "run" if len(runs) == 1 else "runs", given.output.stat().st_size / 1e6
    log.info("%s: %d %s (%s), %.1f MB", given.output, len(runs), what, statuses, size)
