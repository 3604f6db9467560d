"""A study small enough for tests, written by hand, and servers for it."""

import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import torch
import uvicorn
from processes import start, wait_for

from impasto.cli import conf_dir
from impasto.files import sha256
from impasto.study.folder import (
    CATCH,
    RATED,
    Question,
    Rule,
    Stimulus,
    Study,
    Trial,
    image_file,
    read_tokens,
    write_study,
)
from impasto.study.pictures import spoiled, write_blinded

_SPEC = spec_from_file_location("docs_measure_coverage", conf_dir().parent / "docs" / "measure" / "coverage.py")
assert _SPEC is not None and _SPEC.loader is not None
MEASURED = module_from_spec(_SPEC)
_SPEC.loader.exec_module(MEASURED)
imagined_study = MEASURED.imagined_study  # a study whose pictures do not exist

METHODS = ("secretgatys", "secretjohnson")
NATURAL = Question(text="Does this image look natural to you?", pictures=1, answers=("Not natural", "Natural"))
BETTER = Question(text="Which of the two pictures is better?", pictures=2, answers=("Left", "Right"))
RULE = Rule(least_catches=0.75, least_repeats=None, least_milliseconds=250, least_done=0)


def small_study(
    folder: Path, *, pictures: int = 1, raters: int = 2, trials: int = 6, break_every: int | None = None, size: int = 48
) -> Study:
    """Write a study of two methods and two photographs; the third trial of a rater is a catch."""
    generator = torch.Generator().manual_seed(0)
    ids: dict[tuple[int, str | None], str] = {}
    stimuli: dict[str, Stimulus] = {}
    for photograph in range(2):
        image = torch.rand(3, size, size, generator=generator)
        image[:, : size // 2] = photograph / 2
        images = {METHODS[0]: image, METHODS[1]: image.mean(0, keepdim=True).expand(3, -1, -1)}
        shown: dict[str | None, torch.Tensor] = {**images, None: spoiled(image, generator)}
        names = {method: secrets.token_hex(8) for method in shown}
        write_blinded({image_file(folder, names[method]): shown[method] for method in shown})
        for method, name in names.items():
            file = image_file(folder, name)
            stimuli[name] = Stimulus(
                photograph=f"photo{photograph}", method=method, width=size, height=size, sha256=sha256(file)
            )
            ids[photograph, method] = name
    study = Study(
        title="Looking at <pictures>",
        question=NATURAL if pictures == 1 else BETTER,
        methods=METHODS,
        stimuli=stimuli,
        sessions=[[_trial(ids, rater + place, place, pictures) for place in range(trials)] for rater in range(raters)],
        rule=RULE,
        break_every=break_every,
        seed=0,
        created="2026-11-23 22:00",
    )
    write_study(folder, study)
    return study


def _trial(ids: dict[tuple[int, str | None], str], number: int, place: int, pictures: int) -> Trial:
    photograph, first = number // 2 % 2, number % 2
    methods: list[str | None] = [METHODS[first], METHODS[1 - first]]
    if place == 2:
        return Trial(kind=CATCH, pictures=tuple(ids[photograph, m] for m in (None, METHODS[0])[:pictures]), expected=0)
    return Trial(kind=RATED, pictures=tuple(ids[photograph, m] for m in methods[:pictures]))


def tokens(folder: Path) -> list[str]:
    """Return the raters' tokens; rater 1 has the first."""
    return list(read_tokens(folder))


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a study from a thread of this process; yields the address."""
    from impasto.study.server import create_app

    config = uvicorn.Config(
        create_app(folder), port=0, http="h11", ws="none", log_config=None, server_header=False,
        access_log=False, log_level="error", timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def free_port() -> int:
    """Return a port that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def process_serving(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Serve a study by a real `impasto study serve`; at the end it is killed if it still runs."""
    process = start(folder.parent, "study", "serve", folder.name, f"port={port}", *options)
    try:
        wait_for(lambda: (folder / "links.csv").is_file() and _listens(port), process)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        if process.stdout and not process.stdout.closed:
            process.communicate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
