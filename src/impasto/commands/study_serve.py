"""impasto study serve: the raters' web page, until Ctrl-C."""

import logging
import socket

from omegaconf import DictConfig
from pydantic import HttpUrl

from impasto.build.settings import Folder, Settings, Text
from impasto.commands.serving import check_address, ended_by_signal, is_local, url
from impasto.study.plan import read_study, read_tokens, write_private

log = logging.getLogger(__name__)

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_ANY = ("0.0.0.0", "::")
_NOWHERE = ("192.0.2.1", 9)  # an address of RFC 5737; a UDP socket that is connected to it sends nothing
_GOODBYE_SECONDS = 3


class ServeSettings(Settings):
    """What `impasto study serve` takes for itself, as in conf/study_serve.yaml."""

    study: Folder
    host: Text
    address: HttpUrl | None


def run(cfg: DictConfig) -> None:
    """Serve a study; write `links.csv` (rater, link) beside it."""
    import uvicorn

    from impasto.study.security import DeadlineProtocol
    from impasto.study.server import create_app, finished

    given = ServeSettings.read(cfg)
    check_address(given.host, cfg.port)
    # A page elsewhere whose name was turned to 127.0.0.1 must not ask in a rater's browser; a proxy sets its own name.
    local = is_local(given.host) and given.address is None
    app = create_app(given.study, hosts=(*_LOCAL, given.host) if local else ())
    address = str(given.address or url(_seen(given.host), cfg.port)).rstrip("/")
    rows = [(rater, f"{address}/r/{token}") for token, rater in read_tokens(given.study).items()]
    write_private(given.study / "links.csv", [("rater", "link"), *rows])
    study = read_study(given.study)
    raters, trials = len(study.sessions), max(map(len, study.sessions), default=0)
    done = finished(study, given.study)
    log.info("%s: %d raters, %d trials each; %d have finished", study.title, raters, trials, done)
    log.info("links of the raters: %s", given.study / "links.csv")
    config = uvicorn.Config(
        app,
        host=given.host,
        port=cfg.port,
        http=DeadlineProtocol,
        ws="none",
        access_log=False,  # it would tell the tokens
        server_header=False,
        proxy_headers=False,
        log_config=None,
        log_level="critical",  # what goes wrong is told by the application; a cancelled upload is no error
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
    )
    with ended_by_signal():
        log.info("serving %s until Ctrl-C", address)
        uvicorn.Server(config).run()
    log.info("stopped; every answer so far is in %s", given.study / "answers.sqlite")


def _seen(host: str) -> str:
    """Return how raters see a host; of one for the whole network, that by which other machines know this one."""
    if host not in _ANY:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_NOWHERE)
        except OSError:
            log.warning("no network is up; give address= as raters see it")
            return host
        return str(probe.getsockname()[0])
