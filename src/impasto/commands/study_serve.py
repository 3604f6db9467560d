"""impasto study serve: the raters' web page, until Ctrl-C."""

import csv
import logging
import socket
from pathlib import Path
from urllib.parse import urlsplit

from omegaconf import DictConfig

from impasto.commands.serving import check_address, ended_by_signal, is_local, url
from impasto.files import whole_file
from impasto.study.plan import read_study, read_tokens

log = logging.getLogger(__name__)

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_ANY = ("0.0.0.0", "::")
_NOWHERE = ("192.0.2.1", 9)  # an address of RFC 5737; a UDP socket that is connected to it sends nothing
_BACKLOG = 1024
_GOODBYE_SECONDS = 3


def run(cfg: DictConfig) -> None:
    """Serve a study; write `links.csv` (rater, link) beside it.

    Raises:
        FileNotFoundError: no study there.
        ValueError: it is damaged, its pictures are lost, or host, port or address make no sense.
    """
    import uvicorn

    from impasto.study.security import DeadlineProtocol
    from impasto.study.server import create_app, finished

    check_address(cfg.host, cfg.port)
    folder, address = Path(str(cfg.study)).expanduser(), _checked(cfg.address)
    # A page elsewhere whose name was turned to 127.0.0.1 must not ask in a rater's browser; a proxy sets its own name.
    app = create_app(folder, hosts=(*_LOCAL, cfg.host) if is_local(cfg.host) and address is None else ())
    with _listening(cfg.host, cfg.port) as listening, ended_by_signal():
        address = address or _address(cfg.host, cfg.port)
        links = write_links(folder, address)
        study = read_study(folder)
        raters, trials = len(study.sessions), max(map(len, study.sessions), default=0)
        log.info(
            "%s: %d raters, %d trials each; %d have finished", study.title, raters, trials, finished(study, folder)
        )
        log.info("links of the raters: %s", links)
        log.info("serving %s until Ctrl-C", address)
        config = uvicorn.Config(
            app,
            http=DeadlineProtocol,
            ws="none",
            access_log=False,  # it would tell the tokens
            server_header=False,
            proxy_headers=False,
            log_config=None,
            log_level="critical",  # what goes wrong is told by the application; a cancelled upload is no error
            timeout_graceful_shutdown=_GOODBYE_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listening])
    log.info("stopped; every answer so far is in %s", folder / "answers.sqlite")


def write_links(folder: Path, address: str) -> Path:
    """Write the raters' links, readable by their owner only.

    Args:
        folder: of the study.
        address: of the server, as raters see it.

    Returns:
        The file, `links.csv`.
    """
    file = folder / "links.csv"
    with whole_file(file, private=True) as temporary, temporary.open("w", newline="", encoding="utf-8") as lines:
        links = [(rater, f"{address}/r/{token}") for token, rater in read_tokens(folder).items()]
        csv.writer(lines).writerows([("rater", "link"), *links])
    return file


def _checked(address: str | None) -> str | None:
    if address is None:
        return None
    try:
        told = urlsplit(str(address))
        whole = told.port is None or told.port > 0  # asking for the port reads it
    except ValueError:
        whole = False
    if not whole or told.scheme not in ("http", "https") or not told.hostname or told.query or told.fragment:
        raise ValueError(f"expected address to be like https://study.example.org, got '{address}'")
    return str(address).rstrip("/")


def _address(host: str, port: int) -> str:
    """Return the server's address; of one for the whole network, that by which other machines know this one."""
    if host in _ANY:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(_NOWHERE)
                host = probe.getsockname()[0]
            except OSError:  # no network
                log.warning("no network is up; give address= as raters see it")
    return url(host, port)


def _listening(host: str, port: int) -> socket.socket:
    family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server((str(where[0]), port), family=family, backlog=_BACKLOG)
