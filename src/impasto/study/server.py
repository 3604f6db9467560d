"""The raters' web page: one trial at a time, every answer on disk before the next picture shows."""

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from impasto.study.answers import Answers, read_answers
from impasto.study.plan import Study, image_file, lost_pictures, name_some, read_study, read_tokens
from impasto.study.security import Guard

log = logging.getLogger(__name__)

T = TypeVar("T")
State = dict[str, Any]

_STATIC = {"study.js": "text/javascript", "study.css": "text/css", "study.svg": "image/svg+xml"}
_TURN_SECONDS = 5  # after which a request no longer waits for the disk


class Given(BaseModel):
    """An answer as the page sends it."""

    model_config = ConfigDict(strict=True, extra="forbid")  # strict: neither true nor 1.0 is a number of ours

    position: int = Field(ge=0)
    answer: int = Field(ge=0, le=1)
    milliseconds: int = Field(ge=0, le=86_400_000)
    pauses: int = Field(ge=0, le=1000)


def create_app(folder: Path, *, hosts: Sequence[str] = ()) -> FastAPI:
    """Build the web application of a study.

    Args:
        folder: of the study; answers go to `answers.sqlite` in it.
        hosts: names by which the server may be asked; any where empty.

    Returns:
        The application; a rater's link is `/r/<token>`.

    Raises:
        FileNotFoundError: no study there.
        ValueError: it is damaged, or pictures are missing or changed.
    """
    desk = _Desk(folder)
    middleware = [Middleware(Guard)]
    if hosts:
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        desk.answers.close()

    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=middleware,
        exception_handlers={StarletteHTTPException: _refused, sqlite3.Error: _not_now, OSError: _not_now},
    )
    _add_routes(app, desk)
    return app


def finished(study: Study, folder: Path) -> int:
    """Return how many raters have answered everything.

    Raises:
        ValueError: the file of the answers is damaged.
    """
    answered = Counter(answer.rater for answer in read_answers(folder, study.id))
    return sum(answered[rater] >= len(session) for rater, session in enumerate(study.sessions, 1))


class _Desk:
    """A study that is being served."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.study, self.tokens = folder, read_study(folder), read_tokens(folder)
        raters = len(self.study.sessions)
        if sorted(self.tokens.values()) != list(range(1, raters + 1)):
            raise ValueError(f"{folder / 'raters.csv'} is damaged: expected one token for each of {raters} raters")
        if lost := lost_pictures(self.study, folder):
            told = f"{len(lost)} of {len(self.study.stimuli)} pictures of the study are lost"
            raise ValueError(f"{told}: {name_some(lost)}")
        self.answers = Answers(folder, self.study.id)
        self._turn = asyncio.Lock()
        page = Environment(loader=PackageLoader("impasto.study"), autoescape=True, undefined=StrictUndefined)
        self._welcome, self._unknown = page.get_template("rater.html.j2"), page.get_template("unknown.html.j2")
        static = Path(__file__).with_name("static")
        self.static = {name: ((static / name).read_bytes(), kind) for name, kind in _STATIC.items()}

    async def rater(self, token: str) -> int:
        """Return whose link it is. Asynchronous, so that no thread is taken for it."""
        if (rater := self.tokens.get(token)) is None:
            raise HTTPException(404, "this link is not known")
        return rater

    async def in_turn(self, call: Callable[[], T]) -> T:
        """Run what asks the database in a thread, one after the other, as SQLite would.

        Those that wait hold no thread, and do not wait for ever where the disk does not answer.
        """
        try:
            async with asyncio.timeout(_TURN_SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            raise HTTPException(503, "the disk does not answer; nothing was saved") from None
        try:
            return await run_in_threadpool(call)
        finally:
            self._turn.release()

    async def page(self, token: str) -> HTMLResponse:
        """Return the page of a link. The template gets what raters may know, never the study."""
        rater = self.tokens.get(token)
        if rater is None:
            return HTMLResponse(self._unknown.render(), 404)
        question = self.study.question
        text = self._welcome.render(
            title=self.study.title,
            question=question.text,
            answers=question.answers,
            pictures=question.pictures,
            total=len(self.study.sessions[rater - 1]),
            answered=await self.in_turn(lambda: self.answers.count(rater)),
        )
        return HTMLResponse(text)

    def trial(self, rater: int) -> State:
        """Return the rater's next trial."""
        return self._state(rater, self.answers.count(rater))

    def _state(self, rater: int, position: int) -> State:
        session, every = self.study.sessions[rater - 1], self.study.break_every
        if position >= len(session):
            return {"done": True}
        rest = every is not None and position > 0 and position % every == 0
        # Relative to the address that was asked, so that a proxy may put the study under a path of its own.
        shown, following = (
            [f"pictures/{place}/{side}" for side in range(self.study.question.pictures) if place < len(session)]
            for place in (position, position + 1)
        )
        return {"position": position, "total": len(session), "pictures": shown, "next": following, "rest": rest}

    def store(self, rater: int, given: Given) -> tuple[bool, State]:
        """Write an answer; return whether it was the rater's next, and the trial that now is."""
        total = len(self.study.sessions[rater - 1])
        stored = given.position < total and self.answers.add(
            rater, given.position, given.answer, milliseconds=given.milliseconds, pauses=given.pauses
        )
        if stored and given.position == total - 1:
            log.info("rater %d has finished; %d of %d have", rater, finished(self.study, self.folder), len(self.tokens))
        return stored, self._state(rater, given.position + 1 if stored else self.answers.count(rater))

    async def picture(self, rater: int, position: int, side: int) -> bytes:
        """Return the PNG file of a picture of the rater's current or next trial."""
        session, current = self.study.sessions[rater - 1], await self.in_turn(lambda: self.answers.count(rater))
        if (
            position not in (current, current + 1)
            or position >= len(session)
            or side >= len(session[position].pictures)
        ):
            raise HTTPException(404, "no picture that is shown now")
        return await run_in_threadpool(image_file(self.folder, session[position].pictures[side]).read_bytes)


def _add_routes(app: FastAPI, desk: _Desk) -> None:
    rater_of = Annotated[int, Depends(desk.rater)]

    @app.get("/r/{token}")
    async def page(token: str) -> HTMLResponse:
        return await desk.page(token)

    @app.get("/r/{token}/trial")
    async def trial(rater: rater_of) -> JSONResponse:
        return JSONResponse(await desk.in_turn(lambda: desk.trial(rater)))

    @app.post("/r/{token}/answers")
    async def answers(request: Request, rater: rater_of) -> JSONResponse:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "expected application/json")
        try:
            given = Given.model_validate_json(await request.body())
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise HTTPException(422, f"{where}: {first['msg']}") from error
        stored, state = await desk.in_turn(lambda: desk.store(rater, given))
        # What comes with a 409 lets the page go on where an answer was stored but its acknowledgement lost.
        return JSONResponse(state if stored else {"error": "not your next trial", **state}, 200 if stored else 409)

    @app.get("/r/{token}/pictures/{position:int}/{side:int}")
    async def picture(rater: rater_of, position: int, side: int) -> Response:
        return Response(await desk.picture(rater, position, side), media_type="image/png")

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in desk.static:
            raise HTTPException(404, "no such file")
        data, kind = desk.static[name]
        return Response(data, media_type=kind)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=dict(error.headers or {}))


async def _not_now(_: Request, error: Exception) -> Response:
    log.error("not served, raters are told to wait: %s", error)
    return JSONResponse({"error": "the disk does not answer; nothing was saved"}, 503)
