"""What the commands that serve a web page share: their address, and how they end."""

import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from impasto.commands import log

Port = Annotated[int, Field(ge=1, le=65535, strict=True)]


def check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be served, before anything heavy begins."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just left is free
            trial.bind((host, port))
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that cannot be one
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"host={host} with port={port} cannot be served ({reason}); give another") from error


def url(host: str, port: int) -> str:
    """Return the address that a browser on this machine opens."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def forget_variables(*prefixes: str) -> None:
    """Remove variables that a library would read when it is imported, so that the configuration decides."""
    for name in list(os.environ):  # a proxy would deny that a server is up, which it asks itself
        if name.startswith(prefixes) or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            del os.environ[name]
    logging.getLogger("httpx").setLevel(logging.WARNING)  # by which servers ask themselves


@contextlib.contextmanager
def ended_by_signal() -> Iterator[None]:
    """Serve while the body waits; Ctrl-C and SIGTERM both end it as Ctrl-C does, without a word."""
    numbers = (signal.SIGINT, signal.SIGTERM)  # both: a process started in the background ignores Ctrl-C
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait(host: str, port: int, *, path: str = "") -> None:
    """Say where the page is, and wait for Ctrl-C or SIGTERM inside `ended_by_signal`."""
    log.info("open %s%s in a browser; Ctrl-C ends it", url(host, port), path)
    if host not in ("localhost", "::1") and not host.startswith("127."):
        log.info("everyone who reaches this machine can use the page")
    while True:
        time.sleep(3600)
