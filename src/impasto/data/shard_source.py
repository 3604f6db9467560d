"""Where shards lie: a folder, a web server, an object store; and streams that survive a connection that drops."""

import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from shlex import quote
from typing import BinaryIO, Protocol
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

_TRIES = 5  # of a read that brings nothing
_FIRST_WAIT = 0.5  # seconds; doubled each time
_TIMEOUT = 30.0  # seconds without an answer
_BLOCK = 1 << 20


class Stream(Protocol):
    """What is read from the beginning to the end."""

    def read(self, count: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""

    def close(self) -> None:
        """Let go of the connection."""


class Source:
    """A place that holds `index.json` and shards.

    Args:
        urls: a folder; http(s)://..., of a folder; s3://, gs:// or hf://, through the tools of those stores; or
            "pipe:<command>", in which {} stands for the file's name.
    """

    def __init__(self, urls: str) -> None:
        self.urls = urls
        scheme = urls.partition(":")[0] if ":" in urls else ""
        self.over_http = scheme in ("http", "https")
        self.folder = Path(urls.removeprefix("file://")).expanduser() if scheme in ("", "file") else None

    def url(self, name: str) -> str:
        """Return the address of a file."""
        if self.folder is not None:
            return str(self.folder / name)
        if self.urls.startswith("pipe:"):
            return self.urls.replace("{}", name)
        parts = urlsplit(self.urls)  # a token may stand behind the path
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))

    def open(self, name: str, size: int | None) -> Stream:
        """Open a file.

        Args:
            name: in the folder.
            size: its bytes, so that an end that comes too early is noticed; None where nobody knows.
        """
        if self.folder is not None:
            return (self.folder / name).open("rb")
        return Steady(lambda at: self._open_at(name, at), self.url(name), size)

    def size(self, name: str) -> int | None:
        """Ask for the bytes of a file; None where that cannot be asked.

        Raises:
            OSError: it is not there, or does not answer.
        """
        if self.folder is not None:
            return (self.folder / name).stat().st_size
        if not self.over_http:
            return None
        with urlopen(_request(self.url(name), method="HEAD"), timeout=_TIMEOUT) as answer:
            told = answer.headers.get("Content-Length")
            return None if told is None else int(told)

    def read(self, name: str) -> bytes:
        """Return a small file whole.

        Raises:
            OSError: it is not there, or does not answer.
        """
        stream = self._open_at(name, 0) if self.folder is None else (self.folder / name).open("rb")
        try:
            return b"".join(iter(lambda: stream.read(_BLOCK), b""))
        finally:
            stream.close()

    def _open_at(self, name: str, offset: int) -> Stream:
        url = self.url(name)
        if self.over_http:
            answer: BinaryIO = urlopen(_request(url, offset=offset), timeout=_TIMEOUT)
            return answer if offset == 0 or answer.status == 206 else _forward(answer, offset)  # type: ignore[attr-defined]
        from webdataset import gopen  # seconds to import, and only object stores need it

        if url.startswith("s3://"):  # which webdataset leaves to a command
            url = f"pipe:aws s3 cp --only-show-errors {quote(url)} -"
        return _forward(gopen(url), offset)


def _request(url: str, *, method: str = "GET", offset: int = 0) -> Request:
    """Ask as urllib does it: who reads stands in a header, not in the address."""
    parts = urlsplit(url)
    who, _, host = parts.netloc.rpartition("@")
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    request = Request(urlunsplit(parts._replace(netloc=host)), headers=headers, method=method)
    if who:  # not sent on to another host
        request.add_unredirected_header("Authorization", f"Basic {b64encode(unquote(who).encode()).decode()}")
    return request


def _forward(stream: Stream, count: int) -> Stream:
    while count:
        read = len(stream.read(min(count, _BLOCK)))
        if not read:
            raise ConnectionError("it ended before the place where it broke off")
        count -= read
    return stream


class Steady:
    """A stream that is opened again, where it broke off, when a connection drops.

    Args:
        open_at: opens it at a byte.
        url: named when it cannot be opened any more.
        size: bytes; None takes the first end for the end.

    Raises:
        ConnectionError: several tries, one after the other, brought nothing (raised by `read`).
    """

    def __init__(self, open_at: Callable[[int], Stream], url: str, size: int | None) -> None:
        self.open_at, self.url, self.size = open_at, url, size
        self._stream: Stream | None = None
        self._done = 0

    def read(self, count: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""
        problem: Exception | None = None
        for number in range(_TRIES):
            if self._done == self.size:
                return b""
            if number:
                self.close()
                time.sleep(_FIRST_WAIT * 2 ** (number - 1))
            try:
                if self._stream is None:
                    self._stream = self.open_at(self._done)
                content = self._stream.read(count)
            except (OSError, HTTPException) as error:
                problem = error
                if isinstance(error, HTTPError) and 400 <= error.code < 500:  # asking again changes nothing
                    break
                continue
            if content or self.size is None:
                self._done += len(content)
                return content
            problem = ConnectionError(f"it ended after {self._done} of {self.size} bytes")
        self.close()
        raise ConnectionError(f"{self.url} cannot be read any more: {problem}") from problem

    def close(self) -> None:
        """Let go of the connection."""
        if self._stream is not None:
            with suppress(OSError):  # a command that is not read to its end says that it failed
                self._stream.close()
            self._stream = None
