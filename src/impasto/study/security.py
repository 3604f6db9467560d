"""What all requests of the raters' page go through: deadlines for what comes in, headers on what goes out."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

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
    """ASGI middleware, the outermost, around what answers the requests."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        end: float | None = asyncio.get_running_loop().time() + BODY_SECONDS

        async def receive_in_time() -> Message:
            nonlocal end
            try:
                async with asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"the request took longer than {BODY_SECONDS:g} seconds") from None
            if not message.get("more_body", False):
                end = None  # the body is there; what follows tells only of the end of the connection
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            await send(message)

        http = scope["type"] == "http"
        await self.app(scope, receive_in_time if http else receive, send_with_headers if http else send)
