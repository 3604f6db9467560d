"""impasto study serve: the raters' web page, until Ctrl-C."""

from omegaconf import DictConfig
from pydantic import HttpUrl

from impasto.build.settings import Folder, Settings, Text
from impasto.commands import log
from impasto.commands.serving import Port, check_address, ended_by_signal, url
from impasto.study.folder import read_study, read_tokens, write_private

_ANY = ("0.0.0.0", "::")
_GOODBYE_SECONDS = 3


class _Settings(Settings):
    study: Folder
    host: Text
    port: Port
    address: HttpUrl | None


def run(cfg: DictConfig) -> None:
    """Serve a study; write `links.csv` (rater, link) beside it."""
    import uvicorn

    from impasto.study.server import create_app, finished

    given = _Settings.read(cfg)
    check_address(given.host, given.port)
    if given.host in _ANY and given.address is None:
        raise ValueError(f"host={given.host} needs address=<as raters see it>, such as http://192.168.0.7:{given.port}")
    app = create_app(given.study)
    address = str(given.address or url(given.host, given.port)).rstrip("/")
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
        port=given.port,
        http="h11",
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
