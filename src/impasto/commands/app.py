"""impasto app: a web page to try the shipped networks, and one's own, on a photograph."""

import logging
import os
import tempfile
from pathlib import Path

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
from impasto.hardware import check_device
from impasto.runs import load_named

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        ValueError: gradio is missing, the address cannot be served, a limit is no positive number, or a network of
            one's own is none.
        FileNotFoundError: a network of one's own is not there.
    """
    require_extra("gradio", extra="app")
    check_device(cfg.device)
    for key in ("most_megabytes", "most_megapixels"):
        if isinstance(cfg[key], bool) or not isinstance(cfg[key], int | float) or cfg[key] <= 0:
            raise ValueError(f"expected {key} above 0, got {cfg[key]}")
    check_address(cfg.host, cfg.port)
    names = [cfg.networks] if isinstance(cfg.networks, str | int) else list(cfg.networks or [])
    networks = [(str(name), load_named(str(name))) for name in names]  # a run folder 0 is a number to Hydra
    with ended_by_signal(), tempfile.TemporaryDirectory(prefix="impasto-app-") as folder:
        forget_variables("GRADIO_")  # GRADIO_ALLOWED_PATHS, for one, would open folders
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio asks itself whether it is up
        from impasto.app.choices import list_choices
        from impasto.app.page import Limits, Page, close, launch

        limits = Limits(cfg.most_megabytes, cfg.most_megapixels)
        page = Page(list_choices(networks, device=cfg.device), limits=limits, folder=Path(folder))
        launch(page, host=cfg.host, port=cfg.port)
        try:
            log.info("open %s in a browser; Ctrl-C ends it", url(cfg.host, cfg.port))
            if not is_local(cfg.host):
                log.info("everyone who reaches this machine can use the page")
            wait()
        finally:
            close(page)
    if page.busy.locked():  # a network cannot be stopped within a layer, and Python aborts when it ends beneath one
        logging.shutdown()
        os._exit(0)
