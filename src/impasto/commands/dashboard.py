"""impasto dashboard: show in a browser what logger=trackio has logged."""

import logging

from omegaconf import DictConfig

from impasto.commands.serving import (
    check_address,
    ended_by_signal,
    forget_variables,
    is_local,
    require_extra,
    url,
    wait,
)
from impasto.commands.settings import Folder, Settings, Text

log = logging.getLogger(__name__)


class DashboardSettings(Settings):
    """What is shown, and where."""

    project: Text  # of trackio
    store: Folder  # trackio's
    host: str  # address to serve
    port: int


def run(cfg: DictConfig) -> None:
    """Serve trackio's store until Ctrl-C.

    Raises:
        ValueError: trackio is missing, or the address cannot be served.
        FileNotFoundError: nothing has been logged to the store.
    """
    require_extra("trackio", extra="dashboard")
    given = DashboardSettings.read(cfg)
    check_address(given.host, given.port)
    if not (given.store / f"{given.project}.db").is_file():
        raise FileNotFoundError(
            f"{given.store} holds no runs of project={given.project}; 'impasto train logger=trackio' logs some"
        )
    forget_variables("TRACKIO_", "GRADIO_")  # some would show another store
    logging.getLogger("httpx").setLevel(logging.WARNING)  # trackio asks itself whether it is up
    from impasto.tracking.loggers import show_trackio

    with ended_by_signal():
        server = show_trackio(given.project, given.store, host=given.host, port=given.port)
        try:
            log.info("open %s/?project=%s in a browser; Ctrl-C ends it", url(given.host, given.port), given.project)
            if not is_local(given.host):
                log.info("everyone who reaches this machine can read it")
            wait()
        finally:
            server.close(verbose=False)
