"""Real web servers of the command line, on a free port, ended as a user ends them."""

import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import start


def free_port() -> int:
    """Return a port that nobody listens at just now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start `impasto <arguments> port=<free>` and wait until it answers; Ctrl-C ends it."""
    port = free_port()
    process = start(folder, *arguments, f"port={port}")
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(address, process)
        yield address, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _wait_until_it_answers(address: str, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while True:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "no answer for two minutes"
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=5).close()
            return
        except urllib.error.HTTPError:  # an answer too
            return
        except OSError:
            time.sleep(0.1)
