"""What the commands that serve a web page share: their extra, their port, and how they end."""

import contextlib
import errno
import os
import signal
import socket
import time
from collections.abc import Iterator
from importlib.util import find_spec


def require_extra(package: str, *, extra: str) -> None:
    """Refuse a command whose optional package is missing.

    Args:
        package: its name, in Python and on PyPI.
        extra: of impasto's extras, the one that brings it; also the command's name.

    Raises:
        ValueError: it is not installed; says how to install it.
    """
    if find_spec(package) is None:
        raise ValueError(f"impasto {extra} needs {package}; install it with: pip install 'impasto[{extra}]'")


def check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be served, before anything heavy begins.

    Raises:
        ValueError: no port number, a port that is taken or not allowed, or an address that is not this machine's.
    """
    if type(port) is not int or not 1 <= port <= 65535:
        raise ValueError(f"expected port=<a number from 1 to 65535>, got {port}")
    try:
        family, kind, _, _, address = socket.getaddrinfo(str(host), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just left is free
            trial.bind(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that cannot be one
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise ValueError(f"port {port} of {host} is taken; give another, as in port={port + 1}") from error
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"host={host} with port={port} cannot be served by this machine ({reason})") from error


def url(host: str, port: int) -> str:
    """Return the address that a browser on this machine opens."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def is_local(host: str) -> bool:
    """Whether only this machine reaches the page."""
    return host in ("localhost", "::1") or host.startswith("127.")


def forget_variables(*prefixes: str) -> None:
    """Let the configuration decide, and not what a library reads of the environment when it is imported.

    Proxies are forgotten too: servers ask themselves whether they are up, which a proxy would deny.

    Args:
        prefixes: of the variables that are removed from this process.
    """
    for name in list(os.environ):
        if name.startswith(prefixes) or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            del os.environ[name]


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


def wait() -> None:
    """Wait for Ctrl-C or SIGTERM, inside `ended_by_signal`."""
    while True:
        time.sleep(3600)
