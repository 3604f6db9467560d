"""impasto dashboard: fill the browser dashboard trackio from run folders, and show it."""

import logging
import os
from collections import Counter
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from impasto.commands.serving import (
    check_address,
    ended_by_signal,
    forget_variables,
    is_local,
    require_extra,
    url,
    wait,
)
from impasto.run_folders import find_runs
from impasto.tracking.recorded_run import read_recorded_run
from impasto.tracking.trackio_store import Put, TrackioStore, show_trackio

log = logging.getLogger(__name__)

_PLOT_ORDER = "train/loss,train/*,val/loss,val/*"  # the others come after them


def run(cfg: DictConfig) -> None:
    """Fill trackio's store from run folders; serve it until Ctrl-C.

    Raises:
        ValueError: trackio is missing, no run folder was found, or the address cannot be served.
        FileNotFoundError: a folder that is not there.
        OSError: the store cannot be written.
    """
    require_extra("trackio", extra="dashboard")
    if isinstance(cfg.most_sheets, bool) or not isinstance(cfg.most_sheets, int) or cfg.most_sheets < 1:
        raise ValueError(f"expected most_sheets of at least 1, got {cfg.most_sheets}")
    if cfg.show:
        check_address(cfg.host, cfg.port)
    sources = [cfg.runs] if isinstance(cfg.runs, str | int) else list(cfg.runs or [])
    found = find_runs([str(source) for source in sources])
    for folder, reason in found.closed.items():
        log.warning("left out: %s: %s", folder, reason)
    folders = [folder.resolve() for folder in found.runs]  # a run is known by its folder where it has no id
    store = Path(str(cfg.store)).expanduser().resolve()
    store.mkdir(parents=True, exist_ok=True)
    forget_variables("TRACKIO_", "GRADIO_")  # some would send the runs elsewhere
    os.environ |= {"TRACKIO_DIR": str(store), "TRACKIO_PLOT_ORDER": _PLOT_ORDER, "HF_HUB_OFFLINE": "1"}
    logging.getLogger("httpx").setLevel(logging.WARNING)  # trackio asks itself whether it is up
    with ended_by_signal():
        _fill(TrackioStore(str(cfg.project)), folders, most_sheets=cfg.most_sheets)
        if cfg.show:
            _show(str(cfg.project), host=cfg.host, port=cfg.port)


def _fill(store: TrackioStore, folders: list[Path], *, most_sheets: int) -> None:
    """Bring every run into the store and say what was done."""
    seen: dict[str, Path] = {}
    put: Counter[Put] = Counter()
    rows = pictures = empty = 0
    console = Console(stderr=True)
    for folder in track(folders, description="runs", console=console, transient=True, disable=not console.is_terminal):
        try:
            recorded = read_recorded_run(folder, most_sheets=most_sheets)
        except (ValueError, OSError) as error:
            log.warning("left out: %s", error)
            continue
        if not recorded.rows and not recorded.sheets:
            empty += 1
            continue
        if recorded.identity in seen:
            log.warning("left out: %s is a copy of %s", folder, seen[recorded.identity])
            continue
        seen[recorded.identity] = folder
        done = store.put(recorded)
        put[done] += 1
        if done is not Put.KEPT:
            rows, pictures = rows + len(recorded.rows), pictures + len(recorded.sheets)
    told = ", ".join(f"{put[kind]} {kind.value}" for kind in Put)
    log.info("runs: %s; %d rows and %d pictures written", told, rows, pictures)
    if empty:
        log.info("%d without numbers or samples left out", empty)


def _show(project: str, *, host: str, port: int) -> None:
    server = show_trackio(project, host=host, port=port)
    try:
        log.info("open %s/?project=%s in a browser; Ctrl-C ends it", url(host, port), project)
        if not is_local(host):
            log.info("everyone who reaches this machine can read it")
        wait()
    finally:
        server.close(verbose=False)
