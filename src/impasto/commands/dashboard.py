"""impasto dashboard: show in a browser what logger=trackio has logged."""

from omegaconf import DictConfig

from impasto.build.settings import Folder, Settings, Text
from impasto.commands.serving import Port, check_address, ended_by_signal, forget_variables, wait


class _Settings(Settings):
    project: Text
    store: Folder
    host: Text
    port: Port


def run(cfg: DictConfig) -> None:
    """Serve trackio's store until Ctrl-C."""
    given = _Settings.read(cfg)
    check_address(given.host, given.port)
    if not (given.store / f"{given.project}.db").is_file():
        found = f"{given.store} holds no runs of project={given.project}"
        raise FileNotFoundError(f"{found}; 'impasto train logger=trackio' logs some")
    forget_variables("TRACKIO_", "GRADIO_")  # some would show another store
    from impasto.tracking.loggers import show_trackio

    with ended_by_signal():
        server = show_trackio(given.project, given.store, host=given.host, port=given.port)
        try:
            wait(given.host, given.port, path=f"/?project={given.project}")
        finally:
            server.close(verbose=False)
