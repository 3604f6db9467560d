"""What the raters' server refuses, how it says so, and that nothing changes by it."""

import json
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from small_study import serving, small_study, tokens

from impasto.study.answers import Answers, read_answers
from impasto.study.server import HEADERS

GIVEN = {"position": 1, "answer": 1, "milliseconds": 900, "pauses": 0}


class Served:
    """A server, and a rater with one answer in it."""

    def __init__(self, folder: Path, address: str, asking: httpx.Client, rater: int) -> None:
        self.folder, self.asking, self.rater = folder, asking, rater
        self.where = urlsplit(address)
        self.token = tokens(folder)[rater - 1]
        assert self.post({**GIVEN, "position": 0}).status_code == 200
        self.before = read_answers(folder)

    def post(self, given: object, **headers: str) -> httpx.Response:
        """Send an answer, or bytes, as the rater."""
        content = given if isinstance(given, bytes) else json.dumps(given).encode()
        told = {"content-type": "application/json"} | headers
        return self.asking.post(f"/r/{self.token}/answers", content=content, headers=told)

    def raw(self, request: bytes) -> bytes:
        """Send bytes as they are; what came back until the server closed the connection or answered."""
        with socket.create_connection((self.where.hostname, self.where.port), timeout=10) as connection:
            connection.sendall(request)
            return _response(connection)

    def unchanged(self) -> bool:
        """Whether the answers are as they were."""
        return read_answers(self.folder) == self.before


def _response(connection: socket.socket) -> bytes:
    told = b""
    while part := connection.recv(65536):
        told += part
        if b"\r\n\r\n" in told and b"content-length" in told.lower():
            head, _, body = told.partition(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
            if len(body) >= length:
                break
    return told


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, httpx.Client, Iterator[int]]]:
    folder = tmp_path_factory.mktemp("served")
    small_study(folder, raters=200)
    with serving(folder) as address, httpx.Client(base_url=address, timeout=20) as asking:
        yield folder, address, asking, count(1)


@pytest.fixture
def served(server: tuple[Path, str, httpx.Client, Iterator[int]]) -> Served:
    """One server for all; a rater of its own for each test."""
    folder, address, asking, raters = server
    return Served(folder, address, asking, next(raters))


def _check(response: httpx.Response, code: int) -> None:
    assert response.status_code == code, response.text
    assert next(iter(response.json())) in ("error", "detail")
    assert "Traceback" not in response.text
    assert len(response.content) < 300
    _check_headers(response)


def _check_headers(response: httpx.Response) -> None:
    assert {name: response.headers[name] for name in HEADERS} == HEADERS
    assert "server" not in response.headers


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"position=1&answer=1",
        b'{"position": 1',
        b"\xff\xfe",
        b'{"position": 1, "answer": 1, "milliseconds": NaN, "pauses": 0}',
        b'{"position": 1, "answer": 1, "milliseconds": Infinity, "pauses": 0}',
        b"[" * 1000,
        b"9" * 1000,
        [],
        None,
        {},
        *({**GIVEN, "position": value} for value in (True, "1", -1, None, 1.0)),
        *({**GIVEN, "answer": value} for value in (2, -1, True, False, 0.5, "1")),
        *({**GIVEN, "milliseconds": value} for value in (-1, 86_400_001, 1.5, 2**70)),
        *({**GIVEN, "pauses": value} for value in (1001, [0])),
        {**GIVEN, "rater": 2},
        {**GIVEN, "simulated": True},
        {name: value for name, value in GIVEN.items() if name != "pauses"},
    ],
)
def test_malformed_answers_change_nothing(served: Served, given: object) -> None:
    _check(served.post(given), 400 if given == b"[" * 1000 else 422)  # deeper than Python's parser goes
    assert served.unchanged()


def test_bounds_themselves_are_taken(served: Served) -> None:
    assert served.post({**GIVEN, "milliseconds": 86_400_000, "pauses": 1000}).status_code == 200
    assert served.post({**GIVEN, "position": 2, "milliseconds": 0}).status_code == 200
    answers = [answer for answer in read_answers(served.folder) if answer.rater == served.rater]
    assert answers[1].milliseconds == 86_400_000


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_other_content_types_change_nothing(served: Served, kind: str) -> None:
    _check(served.post(GIVEN, **{"content-type": kind}), 422)
    assert served.unchanged()


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        *(("GET", path, 404) for path in ("/", "/r", "/r/", "/docs", "/openapi.json", "/favicon.ico")),
        *(("GET", f"/r/{{token}}{path}", 404) for path in ("/", "/nothing", "x/trial", "/pictures/0/0")),
        *(("GET", f"/r/{{token}}/pictures/{path}", 404) for path in ("-1/0", "1/99999999999999999999999999")),
        *(("GET", f"/r/{{token}}/pictures/{path}", 422) for path in ("one/0", "1/" + "9" * 5000)),
        ("POST", "/r/{token}x/answers", 404),
        *((method, "/r/{token}/answers", 405) for method in ("PUT", "DELETE", "GET", "OPTIONS", "TRACE", "BREW")),
        *(("POST", path, 405) for path in ("/r/{token}", "/r/{token}/trial", "/static/study.js")),
    ],
)
def test_wrong_paths_and_methods_change_nothing(served: Served, method: str, path: str, code: int) -> None:
    _check(served.asking.request(method, path.format(token=served.token)), code)
    assert served.unchanged()


def test_unknown_link_is_a_page_for_people(served: Served) -> None:
    response = served.asking.get("/r/unknown")
    assert response.status_code == 404
    assert "This link is not known" in response.text
    _check_headers(response)


@pytest.mark.parametrize(
    "path",
    [
        "/r/../../etc/passwd",
        "/r/%2e%2e/%2e%2e/etc/passwd",
        "/r/..%2f..%2fetc%2fpasswd",
        "/static/../server.py",
        "/static/..%2fserver.py",
        "/static/%2e%2e%2ffolder.py",
        "/static//etc/passwd",
        "/static/study.js%00",
        "/static/./study.json",
        "//etc/passwd",
        "/r/TOKEN/pictures/..%2f..%2fstudy.json/0",
        "/r/TOKEN/pictures/../../study.json",
        "/r/TOKEN/%2e%2e/trial",
        "/r/TOKEN%00/trial",
        "/r/%ff%fe/trial",
    ],
)
def test_no_path_reaches_the_file_system(served: Served, path: str) -> None:
    asked = path.replace("TOKEN", served.token)
    told = served.raw(f"GET {asked} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert told.split(b"\r\n")[0] == b"HTTP/1.1 404 Not Found"
    assert b"root:" not in told
    assert b"import" not in told


@pytest.mark.parametrize("path", ["answers", "trial", "nothing"])
def test_body_over_a_kilobyte_is_refused(served: Served, path: str) -> None:
    given = json.dumps(GIVEN).encode()
    response = served.asking.post(f"/r/{served.token}/{path}", content=given + b" " * (1025 - len(given)))
    assert response.status_code == 413
    _check_headers(response)
    assert served.unchanged()


def test_body_without_a_length_is_counted(served: Served) -> None:
    head = f"POST /r/{served.token}/answers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunk = b"100\r\n" + b" " * 256 + b"\r\n"
    told = served.raw(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 5)  # and never ends
    assert told.startswith(b"HTTP/1.1 413")
    assert served.unchanged()


def test_announced_giant_is_refused_before_it_comes(served: Served) -> None:
    head = f"POST /r/{served.token}/answers HTTP/1.1\r\nHost: x\r\nContent-Length: {10**15}\r\n"
    told = served.raw(head.encode() + b"Expect: 100-continue\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 413")


def test_rater_who_goes_away_in_the_middle_changes_nothing(served: Served) -> None:
    where = (served.where.hostname, served.where.port)
    with socket.create_connection(where) as connection:
        head = f"POST /r/{served.token}/answers HTTP/1.1\r\nHost: x\r\nContent-Length: 70\r\n\r\n"
        connection.sendall(head.encode() + b'{"position": 1, ')
    assert served.post(GIVEN).status_code == 200


@pytest.mark.parametrize("request_line", ["GET", "GET /", "\0\0\0", "G" * 70_000])
def test_what_is_no_request_is_refused(served: Served, request_line: str) -> None:
    assert served.raw(request_line.encode() + b"\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert served.unchanged()


def test_every_response_has_the_security_headers(served: Served) -> None:
    for path in ("", "/trial", "/pictures/1/0"):
        response = served.asking.get(f"/r/{served.token}{path}")
        assert response.status_code == 200
        _check_headers(response)
    _check_headers(served.asking.get("/static/study.js"))
    _check_headers(served.post(GIVEN))


def test_unexpected_error_tells_nothing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise RuntimeError("inner detail")

    monkeypatch.setattr(Answers, "count", broken)
    response = served.asking.get(f"/r/{served.token}/trial")
    _check(response, 503)
    assert "inner" not in response.text
