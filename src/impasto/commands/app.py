"""impasto app: a web page to try the shipped networks, and one's own, on a photograph."""

import logging
import os
import tempfile
import threading
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from impasto.build.settings import Positive, Settings, Text, Texts
from impasto.commands.serving import Port, check_address, ended_by_signal, forget_variables, wait
from impasto.hardware import check_device
from impasto.trained import load_named


class _Settings(Settings):
    networks: Texts
    host: Text
    port: Port
    device: Text
    most_megabytes: Positive
    most_megapixels: Positive


def run(cfg: DictConfig) -> None:
    """Serve the page until Ctrl-C."""
    given = _Settings.read(cfg)
    check_device(given.device)
    check_address(given.host, given.port)
    networks = [(name, load_named(name)) for name in given.networks]
    busy = threading.Lock()
    with ended_by_signal(), tempfile.TemporaryDirectory(prefix="impasto-app-") as folder:
        forget_variables("GRADIO_")  # GRADIO_ALLOWED_PATHS, for one, would open folders
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        from impasto.app.page import Page, close, launch
        from impasto.app.work import list_choices

        page = Page(
            list_choices(networks, device=given.device),
            instantiate(cfg.colors),
            device=given.device,
            most_megapixels=given.most_megapixels,
            folder=Path(folder),
            busy=busy,
        )
        launch(page, host=given.host, port=given.port, most_megabytes=given.most_megabytes)
        try:
            wait(given.host, given.port)
        finally:
            close(page)
    if busy.locked():  # a network cannot be stopped within a layer, and Python aborts when it ends beneath one
        logging.shutdown()
        os._exit(0)
