"""Limits the total time of waiting for the store. Its calls run in a separate thread, which is abandoned at the limit.

A server may hang, send single bytes slowly, or ask for a retry in an hour; MLflow's own limits cover none of these. Time in
which this process computes (exporting a network, for example) does not count as waiting.
"""

import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from brats_cascade.errors import UserError
from brats_cascade.leaving import leave_behind

SECONDS = "BRATS_CASCADE_LOGGING_SECONDS"  # environment variable for the limit
LIMIT = 20.0
LOOK = 0.25  # seconds between checks of the remaining time

Answer = TypeVar("Answer")
_lock = threading.Lock()


class Line:
    """A queue of calls in one thread, and the remaining time to wait for them.

    Args:
        seconds: The limit in total.
    """

    def __init__(self, seconds: float) -> None:
        self._limit = self._left = seconds
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._told: list[Future[Any]] = []
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()
        self.process = os.getpid()

    def ask(self, call: Callable[[], Answer]) -> Answer:
        """Waits for all earlier calls and this one, and returns its result.

        Raises:
            TimeoutError: The limit is reached, now or earlier.
        """
        if threading.current_thread() is self._thread:
            return call()
        future = self._put(call)
        while True:
            if self._left <= 0:
                leave_behind(self._thread)
                raise TimeoutError(f"no answer within {self._limit:g} s of waiting, {SECONDS}")
            began, computed = time.monotonic(), time.process_time()
            try:
                answer = future.result(timeout=min(LOOK, self._left))
                break
            except TimeoutError:
                if future.done():  # raised by the call itself
                    raise
            finally:
                waited, computed = time.monotonic() - began, time.process_time() - computed
                self._left -= waited if computed < waited / 5 else waited / 10  # a tenth where the process was busy
        told, self._told = self._told, []
        for earlier in told:
            earlier.result()  # programming errors are raised
        return answer

    def tell(self, call: Callable[[], None]) -> None:
        """Queues a call without waiting for it."""
        self._told.append(self._put(call))

    def renew(self) -> bool:
        """Resets the remaining time to the limit, unless it was used up."""
        if self._left > 0:
            self._left = self._limit
        return self._left > 0

    def _put(self, call: Callable[[], Answer]) -> "Future[Answer]":
        future: Future[Answer] = Future()
        self._calls.put((future, call))
        return future

    def _work(self) -> None:
        while True:
            future, call = self._calls.get()
            if self._left <= 0:
                return
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)


_line: Line | None = None


def line() -> Line:
    """The queue of this process, with one limit per stage; a sweep renews it for every trial."""
    global _line
    with _lock:
        if _line is None or _line.process != os.getpid():
            _line = Line(_limit())
        return _line


def renew() -> None:
    """Sets the limit anew; a thread that was left behind gets a successor."""
    global _line
    with _lock:
        if _line is not None and not _line.renew():
            _line = None


def _limit() -> float:
    given = os.environ.get(SECONDS) or str(LIMIT)
    try:
        return float(given)
    except ValueError:
        raise UserError(f"{SECONDS}: expected a number of seconds, found {given!r}") from None
