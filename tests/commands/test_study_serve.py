"""`impasto study serve` as a process: what it says, how it ends, and that a kill loses nothing."""

import csv
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from conftest import Result
from small_study import free_port, process_serving, small_study, tokens

from impasto.study.answers import read_answers
from impasto.study.folder import image_file

Impasto = Callable[..., Result]
TRIALS = 60


def answer(asking: httpx.Client, link: str, position: int) -> httpx.Response:
    given = {"position": position, "answer": position % 2, "milliseconds": 500 + position, "pauses": 0}
    return asking.post(f"{link}/answers", json=given)


def links(folder: Path) -> list[str]:
    with (folder / "links.csv").open(newline="") as file:
        return [row["link"] for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_session_is_told_without_tokens_and_ends_quietly(tmp_path: Path, ending: signal.Signals) -> None:
    folder = tmp_path / "study"
    small_study(folder, trials=2)
    port = free_port()
    with process_serving(folder, port) as process, httpx.Client() as asking:
        first, second = links(folder)
        assert first == f"http://127.0.0.1:{port}/r/{tokens(folder)[0]}"
        assert stat.S_IMODE((folder / "links.csv").stat().st_mode) == 0o600
        for position in (0, 1):
            assert asking.get(first).status_code == 200
            assert asking.get(f"{first}/trial").status_code == 200
            assert asking.get(f"{first}/pictures/{position}/0").status_code == 200
            assert answer(asking, first, position).status_code == 200
        assert answer(asking, first, 0).status_code == 409
        assert answer(asking, f"{second}x", 0).status_code == 404
        assert asking.post(f"{second}/answers", content=b"x" * 5000).status_code == 413
        process.send_signal(ending)
        told = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    assert told.splitlines() == [
        "Looking at <pictures>: 2 raters, 2 trials each; 0 have finished",
        "links of the raters: study/links.csv",
        f"serving http://127.0.0.1:{port} until Ctrl-C",
        "rater 1 has finished; 1 of 2 have",
        "stopped; every answer so far is in study/answers.sqlite",
    ]
    assert not [token for token in tokens(folder) if token in told]


@pytest.mark.slow
def test_stopping_waits_for_no_open_connection(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    small_study(folder)
    port = free_port()
    with process_serving(folder, port) as process, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /r/x/answers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70\r\n\r\n")
        httpx.get(f"http://127.0.0.1:{port}/static/study.js")  # the server has the upload before it
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    assert told.endswith("until Ctrl-C\nstopped; every answer so far is in study/answers.sqlite\n")


@pytest.mark.slow
def test_killed_server_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    small_study(folder, raters=8, trials=TRIALS)
    port = free_port()
    acknowledged: list[tuple[int, int]] = []

    def rate(rater: int, link: str) -> None:
        with httpx.Client() as asking:
            try:
                for position in range(TRIALS):
                    assert answer(asking, link, position).status_code == 200
                    acknowledged.append((rater, position))
            except httpx.TransportError:
                return  # killed

    with process_serving(folder, port) as process:
        threads = [threading.Thread(target=rate, args=pair) for pair in enumerate(links(folder), 1)]
        for thread in threads:
            thread.start()
        while len(acknowledged) < 100:
            assert any(thread.is_alive() for thread in threads)
        os.kill(process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert len(acknowledged) < 8 * TRIALS  # it was in the middle
    stored = [(one.rater, one.position) for one in read_answers(folder)]
    assert set(acknowledged) <= set(stored)
    with process_serving(folder, port), httpx.Client() as asking:
        for rater, link in enumerate(links(folder), 1):
            position = asking.get(f"{link}/trial").json()["position"]
            assert position == sum(one == rater for one, _ in stored)
            assert answer(asking, link, position - 1).status_code == 409  # as the page does that heard nothing
            for place in range(position, TRIALS):
                assert answer(asking, link, place).status_code == 200
    told = [(one.rater, one.position, one.milliseconds) for one in read_answers(folder)]
    assert told == [(rater, place, 500 + place) for rater in range(1, 9) for place in range(TRIALS)]


def test_taken_port_is_named(impasto: Impasto, tmp_path: Path) -> None:
    small_study(tmp_path / "study")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = impasto("study", "serve", "study", f"port={port}")
    assert result.code == 1
    where = f"host=127.0.0.1 with port={port}"
    assert result.err == f"error: {where} cannot be served (Address already in use); give another\n"
    assert not (tmp_path / "study" / "links.csv").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("port=70000", "expected port to be less than or equal to 65535, got 70000"),
        ("host=192.0.2.1", "host=192.0.2.1 with port=8765 cannot be served"),
        ("address=study.example.org", "expected address to be a valid URL"),
        ("host=0.0.0.0", "host=0.0.0.0 needs address=<as raters see it>, such as http://192.168.0.7:8765"),
    ],
)
def test_bad_addresses_are_refused(impasto: Impasto, tmp_path: Path, option: str, message: str) -> None:
    small_study(tmp_path / "study")
    result = impasto("study", "serve", "study", option)
    assert result.code == 1
    assert result.err.startswith(f"error: {message}")
    assert result.err.count("\n") == 1


def test_what_is_no_study_is_refused(impasto: Impasto, tmp_path: Path) -> None:
    result = impasto("study", "serve", "nothing")
    assert result.code == 1
    assert "no study in nothing" in result.err
    names = list(small_study(tmp_path / "study").stimuli)
    image_file(tmp_path / "study", names[0]).unlink()
    result = impasto("study", "serve", "study")
    assert result.code == 1
    told = f"1 of 6 pictures of the study are missing or changed, the first is study/images/{names[0]}.png"
    assert told in result.err


def test_missing_library_is_named(impasto: Impasto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_study(tmp_path / "study")
    monkeypatch.delitem(sys.modules, "impasto.study.server", raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    result = impasto("study", "serve", "study")
    assert result.code == 1
    assert result.err == "error: this needs fastapi, which is not installed; expected pip install -e '.[study]'\n"


@pytest.mark.slow
def test_links_carry_the_address_that_raters_see(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    small_study(folder)
    with process_serving(folder, port := free_port(), "address=https://study.example.org/pictures/"):
        assert links(folder)[0] == f"https://study.example.org/pictures/r/{tokens(folder)[0]}"
        own = f"http://127.0.0.1:{port}/r/{tokens(folder)[0]}/trial"
        assert httpx.get(own, headers={"host": "study.example.org"}).status_code == 200
