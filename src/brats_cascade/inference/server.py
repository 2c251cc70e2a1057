"""An HTTP server for a network: POST /invocations as in MLflow's server, with a bounded queue and a deadline.

One request is computed at a time, a few more wait, and any other is refused at once. No request waits longer than the
deadline. Errors are one line of JSON.
"""

import asyncio
import contextlib
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from brats_cascade.errors import UserError
from brats_cascade.pages import render

LARGEST = 512 * 2**20  # size limit of a request; a whole volume as text has up to 400 MB
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"

log = logging.getLogger(__name__)


class Server:
    """The queue and its handlers.

    Args:
        answer: Maps a row and its number to the response; raises UserError.
        waiting: Number of requests that may wait while one is computed.
        deadline: Seconds from a request's arrival to its response.
        largest: Size limit of a request, bytes.
    """

    def __init__(
        self, answer: Callable[..., dict[str, Any]], *, waiting: int, deadline: float, largest: int = LARGEST
    ) -> None:
        self._answer, self._places, self._deadline, self._largest = answer, waiting + 1, deadline, largest
        self._pool = ThreadPoolExecutor(1, "segment")
        self._inside, self._seconds, self._began = 0, 1.0, math.inf

    async def invocations(self, request: Request) -> Response:
        """Handles a request, or refuses it if the queue is full."""
        if self._inside >= self._places:
            again = str(math.ceil(self._seconds * self._inside))
            return _error(503, f"busy: try again in {again} s", headers={"Retry-After": again})
        self._inside += 1
        job: Future[bytes] | None = None
        loop, ends = asyncio.get_running_loop(), time.monotonic() + self._deadline
        try:
            async with asyncio.timeout(self._deadline):
                body = await self._body(request)
                job = self._pool.submit(self._work, body, ends=ends)
                result = await _result(job, request)
                if result is None:
                    return _error(499, "the client is gone")
                return Response(result, media_type="application/json")
        except TimeoutError:
            return _error(504, f"not done within {self._deadline:g} s")
        except (UserError, ClientDisconnect) as error:
            return _error(400, str(error))
        except Exception:
            log.exception("a request failed")
            return _error(500, "the server failed; its log says why")
        finally:
            # A waiting request is dropped; one being computed keeps its place until it is finished.
            if job is None or job.cancel():
                self._leave()
            else:
                job.add_done_callback(lambda _: self._leave_from(loop))

    async def ping(self, request: Request) -> Response:
        """Whether requests are handled; not if a computation has exceeded the deadline."""
        stuck = time.monotonic() - self._began > self._deadline
        return _error(503, "a request is stuck; restart the server") if stuck else Response("\n")

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._largest:
                raise UserError(f"expected a request of at most {self._largest} bytes: send fewer rows at a time")
        return bytes(body)

    def _work(self, body: bytes, *, ends: float) -> bytes:
        """Computes in the only worker thread; stops between two rows if nobody waits for the response."""
        self._began = began = time.monotonic()
        try:
            answers = []
            for number, row in enumerate(_rows(body)):
                if time.monotonic() > ends:
                    raise UserError("not done in time")
                answers.append(self._answer(row, number=number))
            return json.dumps({"predictions": answers}).encode()
        finally:
            self._began, self._seconds = math.inf, time.monotonic() - began

    def _leave(self) -> None:
        self._inside -= 1

    def _leave_from(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the server has stopped meanwhile, and its loop is closed
            loop.call_soon_threadsafe(self._leave)

    @contextlib.asynccontextmanager
    async def _life(self, app: Starlette) -> AsyncIterator[None]:
        yield
        self._pool.shutdown(wait=False, cancel_futures=True)

    def app(self) -> Starlette:
        """The application, for uvicorn."""
        posts = Route("/invocations", self.invocations, methods=["POST"])
        return Starlette(routes=[posts, Route("/ping", self.ping), Route("/docs", _docs)], lifespan=self._life)


async def _result(job: "Future[bytes]", request: Request) -> bytes | None:
    """Waits for a job; None if its client disconnects first."""
    done, gone = asyncio.wrap_future(job), asyncio.create_task(_gone(request))
    done.add_done_callback(_seen)
    both: set[asyncio.Future[Any]] = {done, gone}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return done.result() if done.done() else None
    finally:
        gone.cancel()


def _seen(done: "asyncio.Future[bytes]") -> None:
    """Retrieves an error even if nobody waits for it; otherwise asyncio would log it with a stack trace."""
    if not done.cancelled():
        done.exception()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _rows(body: bytes) -> list[dict[str, Any]]:
    try:
        rows = json.loads(body)["dataframe_records"]
    except (ValueError, KeyError, TypeError, RecursionError):
        rows = None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError('expected JSON, {"dataframe_records": [{"case": ...} or {"image": ...}, ...]}; see /docs')
    return rows


def _error(status: int, message: str, *, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status, headers=headers)


async def _docs(request: Request) -> Response:
    page = render("serve.html.j2", package="brats_cascade.inference")
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})
