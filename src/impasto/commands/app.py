"""impasto app: a web page to try the shipped networks, and one's own, on a photograph."""

import logging
import os
import tempfile
import threading
from pathlib import Path
from typing import Annotated

from hydra.utils import instantiate
from omegaconf import DictConfig
from pydantic import BeforeValidator

from impasto.commands.serving import (
    check_address,
    ended_by_signal,
    forget_variables,
    is_local,
    require_extra,
    url,
    wait,
)
from impasto.commands.settings import Positive, Settings, Text
from impasto.hardware import check_device
from impasto.runs import load_named

log = logging.getLogger(__name__)


class AppSettings(Settings):
    """What `impasto app` takes for itself, as in conf/app.yaml."""

    networks: Annotated[list[Text], BeforeValidator(lambda value: value if isinstance(value, list) else [value])]
    host: Text
    device: Text
    most_megabytes: Positive
    most_megapixels: Positive


def run(cfg: DictConfig) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        ValueError: gradio is missing, the address cannot be served, a limit is no positive number, or a network of
            one's own is none.
        FileNotFoundError: a network of one's own is not there.
    """
    require_extra("gradio", extra="app")
    given = AppSettings.read(cfg)
    check_device(given.device)
    check_address(given.host, cfg.port)
    networks = [(name, load_named(name)) for name in given.networks]
    busy = threading.Lock()
    with ended_by_signal(), tempfile.TemporaryDirectory(prefix="impasto-app-") as folder:
        forget_variables("GRADIO_")  # GRADIO_ALLOWED_PATHS, for one, would open folders
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio asks itself whether it is up
        from impasto.app.choices import list_choices
        from impasto.app.page import Page, close, launch

        page = Page(
            list_choices(networks, device=given.device),
            instantiate(cfg.colors),
            device=given.device,
            most_megapixels=given.most_megapixels,
            folder=Path(folder),
            busy=busy,
        )
        launch(page, host=given.host, port=cfg.port, most_megabytes=given.most_megabytes)
        try:
            log.info("open %s in a browser; Ctrl-C ends it", url(given.host, cfg.port))
            if not is_local(given.host):
                log.info("everyone who reaches this machine can use the page")
            wait()
        finally:
            close(page)
    if busy.locked():  # a network cannot be stopped within a layer, and Python aborts when it ends beneath one
        logging.shutdown()
        os._exit(0)
