"""The raters' web page: one trial at a time, every answer on disk before the next picture shows."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from impasto.study.answers import Answers, read_answers
from impasto.study.folder import Study, image_file, lost_pictures, read_study, read_tokens

log = logging.getLogger(__name__)

_MOST_BODY = 1024  # bytes; an answer takes about 70
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # the address of the page is the rater's key
    "cache-control": "no-store",
    "x-robots-tag": "noindex, nofollow",
}


class Given(BaseModel):
    """An answer as the page sends it."""

    model_config = ConfigDict(strict=True, extra="forbid")  # strict: neither true nor 1.0 is a number of ours

    position: int = Field(ge=0)
    answer: int = Field(ge=0, le=1)
    milliseconds: int = Field(ge=0, le=86_400_000)
    pauses: int = Field(ge=0, le=1000)


def create_app(folder: Path) -> ASGIApp:
    """Build the web application of a study; a rater's link is `/r/<token>`, answers go to `answers.sqlite`.

    Refuses a folder without a study, a damaged one, and one of which pictures are missing or changed.
    """
    desk = _Desk(folder)
    app = FastAPI(
        openapi_url=None,
        redirect_slashes=False,
        max_body_size=_MOST_BODY,
        exception_handlers={
            RequestValidationError: _malformed,
            ValueError: _failed,  # of the disk; what Exception alone handles resets the connection
            OSError: _failed,
            Exception: _failed,
        },
    )
    app.add_api_route("/r/{token}", desk.page)
    known = [Depends(desk.check)]
    app.add_api_route("/r/{token}/trial", desk.trial, dependencies=known)
    app.add_api_route("/r/{token}/answers", desk.answer, dependencies=known, methods=["POST"])
    app.add_api_route("/r/{token}/pictures/{position}/{side}", desk.picture, dependencies=known)
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
    return _with_headers(app)


def finished(study: Study, folder: Path) -> int:
    """Return how many raters have answered everything."""
    answered = Counter(answer.rater for answer in read_answers(folder))
    return sum(answered[rater] >= len(session) for rater, session in enumerate(study.sessions, 1))


class _Desk:
    """A study that is being served: what the requests do."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.study, self.tokens = folder, read_study(folder), read_tokens(folder)
        raters = len(self.study.sessions)
        if sorted(self.tokens.values()) != list(range(1, raters + 1)):
            raise ValueError(f"{folder / 'raters.csv'} is damaged: expected one token for each of {raters} raters")
        if lost := lost_pictures(self.study, folder):
            count = f"{len(lost)} of {len(self.study.stimuli)} pictures of the study are missing or changed"
            raise ValueError(f"{count}, the first is {lost[0]}")
        self.answers = Answers(folder)
        pages = Environment(loader=PackageLoader("impasto.study"), autoescape=True, undefined=StrictUndefined)
        self._page, self._unknown = pages.get_template("rater.html.j2"), pages.get_template("unknown.html.j2")

    async def check(self, token: str) -> None:
        """Refuse a link that is not known. Asynchronous, so that no thread is taken for it."""
        if token not in self.tokens:
            raise HTTPException(404, "this link is not known")

    def page(self, token: str) -> HTMLResponse:
        """Return the page of a link. The template gets what raters may know, never the study."""
        if token not in self.tokens:
            return HTMLResponse(self._unknown.render(), 404)
        rater, question = self.tokens[token], self.study.question
        text = self._page.render(
            title=self.study.title,
            question=question.text,
            answers=question.answers,
            pictures=question.pictures,
            total=len(self.study.sessions[rater - 1]),
            answered=self.answers.count(rater),
        )
        return HTMLResponse(text)

    def trial(self, token: str) -> JSONResponse:
        """Return the rater's next trial."""
        return JSONResponse(self._next(self.tokens[token]))

    def _next(self, rater: int) -> dict[str, Any]:
        position, session, every = self.answers.count(rater), self.study.sessions[rater - 1], self.study.break_every
        if position >= len(session):
            return {"done": True}
        # Relative to the address that was asked, so that a proxy may put the study under a path of its own.
        shown, following = (
            [f"pictures/{place}/{side}" for side in range(self.study.question.pictures) if place < len(session)]
            for place in (position, position + 1)
        )
        rest = every is not None and position > 0 and position % every == 0
        return {"position": position, "total": len(session), "pictures": shown, "next": following, "rest": rest}

    def answer(self, token: str, given: Given) -> JSONResponse:
        """Write an answer and return the next trial; 409 where it was not the rater's next."""
        rater = self.tokens[token]
        last = len(self.study.sessions[rater - 1]) - 1
        if given.position > last or not self.answers.add(rater, **given.model_dump()):
            # The trial lets the page go on where an answer was stored but its acknowledgement lost.
            return JSONResponse({"error": "not your next trial", **self._next(rater)}, 409)
        if given.position == last:
            log.info("rater %d has finished; %d of %d have", rater, finished(self.study, self.folder), len(self.tokens))
        return JSONResponse(self._next(rater))

    def picture(self, token: str, position: int, side: int) -> Response:
        """Return the PNG file of a picture of the rater's current or next trial."""
        rater = self.tokens[token]
        current = self.answers.count(rater)
        shown = self.study.sessions[rater - 1][current : current + 2]
        if not 0 <= position - current < len(shown) or side >= len(shown[position - current].pictures):
            raise HTTPException(404, "no picture that is shown now")
        file = image_file(self.folder, shown[position - current].pictures[side])
        return Response(file.read_bytes(), media_type="image/png")


def _with_headers(app: ASGIApp) -> ASGIApp:
    """Set the headers of everything that answers, errors of the server included."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await app(scope, receive, send_with_headers)

    return answer


async def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    return JSONResponse({"error": f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"}, 422)


async def _failed(_: Request, error: Exception) -> Response:
    log.error("not served, the page asks again", exc_info=error)
    return JSONResponse({"error": "the server cannot do it now; nothing was saved"}, 503)
