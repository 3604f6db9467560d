"""What all requests of the raters' page go through: bounds on what comes in, headers on what goes out."""

import asyncio
import json
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

MOST_BODY = 1024  # bytes; an answer takes about 70
MOST_URL = 512  # bytes; the longest of ours takes about 60
HEADER_SECONDS = 10.0  # in which a connection must begin a request, header and all; at most twice that
BODY_SECONDS = 10.0  # for a whole body, however slowly it drips
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # the address of the page is the rater's key
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-robots-tag": "noindex, nofollow",
}
_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class DeadlineProtocol(H11Protocol):
    """Uvicorn's protocol waits for a header for ever, so that a thousand halves would leave no socket for raters."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close the connection at a check since whose last no request has begun or gone on."""
        super().connection_made(transport)
        self.loop.call_later(HEADER_SECONDS, self._check, self.cycle)

    def _check(self, last: object) -> None:
        if self.cycle is last and (last is None or self.cycle.response_complete):
            self.transport.close()
        elif not self.transport.is_closing():
            self.loop.call_later(HEADER_SECONDS, self._check, self.cycle)


class Guard:
    """ASGI middleware, the outermost: the application meets only whole, small requests.

    Args:
        app: what answers them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            await send(message)

        url = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
        if url > MOST_URL:
            await _refuse(send_with_headers, 414, "the address is too long")
            return
        try:
            body = await _read(scope, receive)
        except TimeoutError:
            await _refuse(send_with_headers, 408, f"the request took longer than {BODY_SECONDS:g} seconds")
            return
        if body is None:
            await _refuse(send_with_headers, 413, f"expected at most {MOST_BODY} bytes")
            return
        try:
            await self.app(scope, _Whole(body, receive), send_with_headers)
        except Exception:
            log.exception("unexpected error")
            if not started:
                await _refuse(send_with_headers, 500, "something went wrong here")


class _Whole:
    """`receive` of a request whose body is there already."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()  # tells only of the end of the connection
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read(scope: Scope, receive: Receive) -> bytes | None:
    """Return the body; None where it is too long, or the rater is gone."""
    told: bytes = dict(scope["headers"]).get(b"content-length", b"0")
    if not told.isdigit() or len(told) > len(str(MOST_BODY)) or int(told) > MOST_BODY:
        return None
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        while True:
            message = await receive()
            body += message.get("body", b"")
            if message["type"] != "http.request" or len(body) > MOST_BODY:
                return None
            if not message.get("more_body", False):
                return bytes(body)


async def _refuse(send: Send, status: int, reason: str) -> None:
    """Answer without having read the request to its end, which ends the connection as well."""
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
